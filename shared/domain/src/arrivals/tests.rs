//! Against a list that is searched from the front, over the edges of generations.

use super::*;
use proptest::prelude::*;

fn all(arrived: &Arrived<u32, usize>) -> Vec<(u32, usize)> {
    arrived.iter().map(|(key, value)| (*key, *value)).collect()
}

proptest! {
    #[test]
    fn it_is_a_list_with_an_index(
        steps in prop::collection::vec((0_u32..20, any::<bool>()), 0..200),
        taken in 0_u64..2 * GENERATION,
    ) {
        let mut arrivals = Arrivals::from(Arrived::after(taken));
        let (mut list, mut gone) = (Vec::<(u32, usize)>::new(), taken);
        for (value, (key, is_taken)) in steps.into_iter().enumerate() {
            if is_taken {
                let oldest = (!list.is_empty()).then(|| list.remove(0));
                gone += u64::from(oldest.is_some());
                prop_assert_eq!(arrivals.take_oldest(), oldest);
            } else {
                let place = list.iter().position(|(own, _)| *own == key);
                let number = gone + u64::try_from(place.unwrap_or(list.len())).expect("few");
                prop_assert_eq!(arrivals.set(key, value), Arrival { number, is_new: place.is_none() });
                match place {
                    Some(place) => list[place].1 = value,
                    None => list.push((key, value)),
                }
            }
            prop_assert_eq!((arrivals.len(), arrivals.is_empty()), (list.len(), list.is_empty()));
            prop_assert_eq!(arrivals.arrived().taken(), gone);
        }
        for key in 0..20 {
            let value = list.iter().find(|(own, _)| *own == key).map(|(_, value)| value);
            prop_assert_eq!(arrivals.get(&key), value);
        }
        prop_assert_eq!(all(arrivals.arrived()), list);
    }

    #[test]
    fn what_was_shared_stays_as_it_was_whatever_comes_after(
        before in 0_usize..1_100,
        taken_before in 0_usize..600,
        changes in prop::collection::vec(0_u32..1_200, 0..40),
        taken_after in 0_usize..1_200,
    ) {
        let mut arrivals = Arrivals::default();
        (0..1_200).take(before).for_each(|key| _ = arrivals.set(key, 0));
        (0..taken_before).for_each(|_| _ = arrivals.take_oldest());
        let (shared, list) = (arrivals.arrived().clone(), all(arrivals.arrived()));
        changes.into_iter().for_each(|key| _ = arrivals.set(key, 1));
        (0..taken_after).for_each(|_| _ = arrivals.take_oldest());
        prop_assert_eq!(&all(&shared), &list);
        let mut read = Arrived::after(shared.taken());
        list.iter().for_each(|(key, value)| _ = read.push(*key, *value));
        prop_assert_eq!(&read, &shared, "put together again");
        let mut again = Arrivals::from(read);
        for (key, value) in list {
            prop_assert_eq!(again.get(&key), Some(&value));
            prop_assert_eq!(again.take_oldest(), Some((key, value)));
        }
        prop_assert!(again.is_empty());
    }
}

#[test]
fn a_generation_is_what_came_with_its_numbers_and_is_still_there() {
    let mut arrivals = Arrivals::from(Arrived::after(GENERATION - 2));
    (0..2 + 512 + 3).for_each(|key| _ = arrivals.set(key, ()));
    let lengths = |arrivals: &Arrivals<u32, ()>| -> Vec<(u64, usize)> {
        arrivals.arrived().generations().map(|(number, entries)| (number, entries.len())).collect()
    };
    assert_eq!(lengths(&arrivals), [(0, 2), (1, 512), (2, 3)]);
    let first = |number| arrivals.arrived().generation(number).and_then(|own| own.first().map(|(key, ())| *key));
    assert_eq!([first(0), first(1), first(2), first(3)], [Some(0), Some(2), Some(514), None]);
    arrivals.take_oldest();
    assert_eq!(lengths(&arrivals), [(0, 1), (1, 512), (2, 3)]);
    (0..2).for_each(|_| _ = arrivals.take_oldest());
    assert_eq!(lengths(&arrivals), [(1, 511), (2, 3)]);
    assert_eq!(arrivals.arrived().generation(0), None, "gone");
    assert_ne!(arrivals.arrived(), &Arrived::after(0));
}

#[test]
fn the_same_entries_with_other_numbers_are_something_else() {
    let with = |taken| {
        let mut arrived = Arrived::after(taken);
        arrived.push(1, 1);
        arrived
    };
    assert_eq!(with(3), with(3));
    assert_ne!(with(3), with(4));
}
