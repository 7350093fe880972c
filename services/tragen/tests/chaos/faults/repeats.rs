//! Everything comes several times and in any order, also long after it was booked.

use crate::{
    driver::{Manners, ORDERLY},
    stage::Stage,
    table::Row,
    world::{Store, World, postgres, sqlite},
};

/// Steps in one round.
const STEPS: usize = 300;
/// How often every report is sent.
const COPIES: usize = 5;

/// Every report five times in any order, and all of them once more at the end.
pub(crate) async fn repeats(stage: &Stage, name: &str, store: Store) -> Row {
    let setup = match store {
        Store::Sqlite => sqlite(2),
        Store::Postgres => postgres(2, 1),
    };
    let mut world = World::new(stage, name, setup).await;
    for _ in 0..stage.plan.rounds(1) {
        world.driver.behave(Manners { copies: COPIES, is_shuffled: true });
        world.load(STEPS).await;
        world.check().await;
        let before = sequences(&world).await;
        // The ids of the messages are new, as after the bus has forgotten the old ones.
        world.driver.behave(ORDERLY);
        let mut dice = world.dice.clone();
        world.driver.repeat(|all| dice.shuffle(all)).await;
        world.dice = dice;
        world.all_acked().await;
        let after = sequences(&world).await;
        if before != after {
            world.row.verdict.problems.push(format!("repeats changed the books: {before:?}, then {after:?}"));
        }
        world.row.rounds += 1;
    }
    world.end().await
}

/// The last posting of every shard.
async fn sequences(world: &World) -> Vec<i64> {
    let mut sequences = Vec::new();
    for place in &world.places {
        sequences.push(place.number("SELECT posting_sequence FROM shard").await.unwrap_or(-1));
    }
    sequences
}
