//! The highest point of a smooth function, by Newton's method with halved steps; the models' fits all end here.
//!
//! No randomness, no threads and a fixed order of sums: the same function and start give the same bits.

/// Steps before a fit is given up; fits that succeed need about six.
const STEPS_MAX: usize = 60;
/// Halvings of one step before the function is said not to rise.
const HALVINGS_MAX: usize = 40;
/// Largest slope that counts as the top.
const SLOPE_MAX: f64 = 1e-9;
/// Largest slope that counts as the top where rounding leaves no higher point to be found.
const SLOPE_ROUNDED_MAX: f64 = 1e-5;

/// Value, slope and bend of a function at one point.
pub(super) struct Curvature {
    /// The value.
    pub(super) value: f64,
    /// Its first derivatives.
    pub(super) slope: Vec<f64>,
    /// Its negative second derivatives, row by row.
    pub(super) information: Vec<f64>,
}

/// What can be maximised: concave near its top.
pub(super) trait Hill {
    /// The height, minus infinity where the function is not defined.
    fn value(&self, at: &[f64]) -> f64;
    /// Height, slope and bend where the height is finite.
    fn curvature(&self, at: &[f64]) -> Curvature;
}

/// The top of a hill.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Top {
    /// Where it is.
    pub(super) at: Vec<f64>,
    /// How high it is.
    pub(super) value: f64,
    /// Its negative second derivatives, factored: the inverse covariance of a likelihood's parameters.
    pub(super) information: Cholesky,
}

/// Why there is no top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTop {
    /// The function rises for ever, or is not smooth.
    NotReached,
    /// The top is a ridge: another point is as high.
    NotUnique,
}

/// Climbs from `start`, where the height must be finite.
pub(super) fn climb(hill: &impl Hill, start: Vec<f64>) -> Result<Top, NoTop> {
    let mut at = start;
    for _ in 0..STEPS_MAX {
        let here = hill.curvature(&at);
        if !here.value.is_finite() || here.slope.iter().any(|s| !s.is_finite()) {
            return Err(NoTop::NotReached);
        }
        let steepest = here.slope.iter().fold(0.0, |most: f64, s| most.max(s.abs()));
        if steepest <= SLOPE_MAX {
            return top(at, &here);
        }
        let step = uphill(&here).ok_or(NoTop::NotReached)?;
        match rise(hill, &at, &step, here.value) {
            Some(higher) => at = higher,
            None if steepest <= SLOPE_ROUNDED_MAX => return top(at, &here),
            None => return Err(NoTop::NotReached),
        }
    }
    Err(NoTop::NotReached)
}

fn top(at: Vec<f64>, here: &Curvature) -> Result<Top, NoTop> {
    let information = Cholesky::of(&here.information, at.len()).ok_or(NoTop::NotUnique)?;
    Ok(Top { at, value: here.value, information })
}

/// Newton's step; where the function bends the wrong way it is turned towards the slope (Levenberg 1944).
fn uphill(here: &Curvature) -> Option<Vec<f64>> {
    let size = here.slope.len();
    let mut damping = 0.0;
    for _ in 0..30 {
        let mut bend = here.information.clone();
        for i in 0..size {
            bend[i * size + i] += damping;
        }
        if let Some(factor) = Cholesky::of(&bend, size) {
            return Some(factor.solve(&here.slope));
        }
        damping = if damping > 0.0 { damping * 10.0 } else { 1e-6 };
    }
    None
}

fn rise(hill: &impl Hill, at: &[f64], step: &[f64], height: f64) -> Option<Vec<f64>> {
    let mut share = 1.0;
    for _ in 0..HALVINGS_MAX {
        let next: Vec<f64> = at.iter().zip(step).map(|(at, step)| at + share * step).collect();
        let higher = hill.value(&next);
        // The last steps are smaller than the rounding of the sum; they may not look higher.
        if higher.is_finite() && higher >= height - 1e-12 * height.abs() {
            return Some(next);
        }
        share *= 0.5;
    }
    None
}

/// A symmetric positive matrix as `L L'`, `L` lower triangular, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cholesky {
    size: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors a symmetric matrix given row by row; None where it is not positive.
    pub(super) fn of(matrix: &[f64], size: usize) -> Option<Self> {
        let mut lower = matrix.to_vec();
        for row in 0..size {
            let (above, rest) = lower.split_at_mut(row * size);
            let own = &mut rest[..size];
            for column in 0..row {
                let earlier = &above[column * size..column * size + size];
                let overlap = dot(&own[..column], &earlier[..column]);
                own[column] = (own[column] - overlap) / earlier[column];
            }
            let left = own[row] - dot(&own[..row], &own[..row]);
            // A matrix that is singular but for rounding counts as singular.
            if !(left.is_finite() && left > 1e-12 * matrix[row * size + row].abs()) {
                return None;
            }
            own[row] = left.sqrt();
        }
        Some(Self { size, lower })
    }

    /// The `x` of `L x = right`. The dot product of two such is `right' A^-1 right`.
    pub(super) fn half_solve(&self, right: &[f64]) -> Vec<f64> {
        let mut solved: Vec<f64> = Vec::with_capacity(self.size);
        for (row, given) in self.lower.chunks_exact(self.size).zip(right) {
            let done = solved.len();
            solved.push((given - dot(&row[..done], &solved)) / row[done]);
        }
        solved
    }

    /// The `x` of `A x = right`.
    pub(super) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let mut solved = self.half_solve(right);
        for (row, line) in self.lower.chunks_exact(self.size).enumerate().rev() {
            let (open, known) = solved.split_at_mut(row);
            known[0] /= line[row];
            for (left, factor) in open.iter_mut().zip(line) {
                *left -= factor * known[0];
            }
        }
        solved
    }
}

/// Sum of products.
pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(l, r)| l * r).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `-(x - 1)^2 - (x - 1)(y + 2) - (y + 2)^2`, with its top at (1, -2).
    struct Bowl;

    impl Hill for Bowl {
        fn value(&self, at: &[f64]) -> f64 {
            let (x, y) = (at[0] - 1.0, at[1] + 2.0);
            -x * x - x * y - y * y
        }

        fn curvature(&self, at: &[f64]) -> Curvature {
            let (x, y) = (at[0] - 1.0, at[1] + 2.0);
            let slope = vec![-2.0 * x - y, -x - 2.0 * y];
            Curvature { value: self.value(at), slope, information: vec![2.0, 1.0, 1.0, 2.0] }
        }
    }

    /// `ln(x) - b x`: not defined below 0; rises for ever when b is 0.
    struct LogHill(f64);

    impl Hill for LogHill {
        fn value(&self, at: &[f64]) -> f64 {
            if at[0] > 0.0 { at[0].ln() - self.0 * at[0] } else { f64::NEG_INFINITY }
        }

        fn curvature(&self, at: &[f64]) -> Curvature {
            let slope = vec![1.0 / at[0] - self.0];
            Curvature { value: self.value(at), slope, information: vec![1.0 / (at[0] * at[0])] }
        }
    }

    #[test]
    fn tops_are_found() {
        let bowl = climb(&Bowl, vec![50.0, 50.0]).expect("a top");
        assert!((bowl.at[0] - 1.0).abs() < 1e-12 && (bowl.at[1] + 2.0).abs() < 1e-12, "{:?}", bowl.at);
        // Newton's full step from far out would leave the range; it is halved.
        let log = climb(&LogHill(0.25), vec![20.0]).expect("a top");
        assert!((log.at[0] - 4.0).abs() < 1e-6, "{:?}", log.at);
        // It rises for ever, but so slowly far out that it counts as flat there.
        assert_eq!(climb(&LogHill(0.0), vec![1.0]).map(|top| top.at[0] > 1e6), Ok(true));
        assert_eq!(climb(&LogHill(f64::NAN), vec![1.0]).err(), Some(NoTop::NotReached));
    }

    #[test]
    fn systems_are_solved() {
        let matrix = [4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0];
        let factor = Cholesky::of(&matrix, 3).expect("positive");
        let x = factor.solve(&[1.0, -2.0, 3.0]);
        for (row, expected) in [1.0, -2.0, 3.0].iter().enumerate() {
            assert!((dot(&matrix[row * 3..row * 3 + 3], &x) - expected).abs() < 1e-12);
        }
        assert!(Cholesky::of(&[1.0, 1.0, 1.0, 1.0], 2).is_none());
        assert!(Cholesky::of(&[f64::NAN], 1).is_none());
    }
}
