//! Curves and heat maps as inline SVG.

use super::escaped;
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 200.0;
/// Room for the numbers at the left.
const LEFT: f64 = 70.0;
/// Room for the title above and the seconds below.
const TOP: f64 = 22.0;
const BOTTOM: f64 = 20.0;
/// One for each curve; more begin anew.
const COLORS: [&str; 8] = ["#4c78a8", "#2ca02c", "#e45756", "#9467bd", "#f58518", "#54a24b", "#b279a2", "#888888"];
/// Most columns of a heat map; longer runs are put together.
const COLUMNS_MAX: usize = 300;
/// The least value that a logarithmic scale tells apart.
const LOG_LEAST: f64 = 0.1;

/// How values become heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From 0.
    Linear,
    /// By factors of ten.
    Log,
}

/// A curve with a value for each second.
#[derive(Debug, Clone)]
pub(super) struct Series {
    name: String,
    values: Vec<f64>,
}

impl Series {
    pub(super) fn new(name: &str, values: Vec<f64>) -> Self {
        Self { name: name.to_owned(), values }
    }
}

/// A count as a coordinate; exact up to 2^32.
pub(super) fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn index(count: usize) -> f64 {
    float(u64::try_from(count).unwrap_or(u64::MAX))
}

/// Curves over seconds.
pub(super) fn lines(title: &str, scale: Scale, series: &[Series]) -> String {
    let count = series.iter().map(|series| series.values.len()).max().unwrap_or(0);
    let all = series.iter().flat_map(|series| series.values.iter().copied());
    let largest = all.fold(f64::MIN_POSITIVE, f64::max);
    let height = |value: f64| match scale {
        Scale::Linear => value.max(0.0) / largest,
        Scale::Log => {
            let span = (largest.max(LOG_LEAST * 10.0) / LOG_LEAST).log10();
            (value.max(LOG_LEAST) / LOG_LEAST).log10() / span
        }
    };
    let x = |place: usize| LEFT + (WIDTH - LEFT) * index(place) / index(count.saturating_sub(1).max(1));
    let y = |value: f64| TOP + HEIGHT * (1.0 - height(value));
    let mut svg = begin(title, TOP + HEIGHT + BOTTOM);
    let marks = match scale {
        Scale::Linear => vec![0.0, largest / 2.0, largest],
        Scale::Log => (0..8).map(|power| LOG_LEAST * 10.0_f64.powi(power)).filter(|mark| *mark <= largest).collect(),
    };
    for mark in marks {
        let (at, label) = (y(mark), number(mark));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e5e5e5\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for (place, (series, color)) in series.iter().zip(COLORS.iter().cycle()).enumerate() {
        let points: Vec<String> =
            series.values.iter().enumerate().map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value))).collect();
        let points = points.join(" ");
        let _ = writeln!(svg, "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\" points=\"{points}\"/>");
        let (at, name) = (WIDTH - 90.0 * index(place + 1), escaped(&series.name));
        let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"14\" fill=\"{color}\">{name}</text>");
    }
    end(&mut svg, count);
    svg
}

/// A column for each second, a cell for each bucket, darker for more.
pub(super) fn heat(title: &str, labels: &[String], columns: &[Vec<u64>]) -> String {
    let rows = labels.len() + 1;
    let together = columns.len().div_ceil(COLUMNS_MAX).max(1);
    let merged: Vec<Vec<u64>> = columns
        .chunks(together)
        .map(|some| (0..rows).map(|row| some.iter().filter_map(|column| column.get(row)).sum()).collect())
        .collect();
    let most = float(merged.iter().flatten().copied().max().unwrap_or(0).max(1));
    let (width, height) = ((WIDTH - LEFT) / index(merged.len().max(1)), HEIGHT / index(rows));
    let mut svg = begin(title, TOP + HEIGHT + BOTTOM);
    for (row, label) in labels.iter().enumerate().step_by(2) {
        let at = TOP + HEIGHT - height * index(row) - height / 4.0;
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{at:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0);
    }
    for (place, column) in merged.iter().enumerate() {
        for (row, count) in column.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (x, y) = (LEFT + width * index(place), TOP + HEIGHT - height * index(row + 1));
            // The square root shows the few slow ones too.
            let opacity = (float(*count) / most).sqrt();
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"#4c78a8\" \
                 fill-opacity=\"{opacity:.2}\"/>"
            );
        }
    }
    end(&mut svg, columns.len());
    svg
}

fn begin(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-size=\"11\" \
         font-family=\"sans-serif\"><text x=\"{LEFT}\" y=\"14\" font-weight=\"600\">{}</text>\n",
        escaped(title)
    )
}

fn end(svg: &mut String, seconds: usize) {
    let y = TOP + HEIGHT + 14.0;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{y}\">0 s</text><text x=\"{WIDTH}\" y=\"{y}\" text-anchor=\"end\">{seconds} s</text></svg>"
    );
}

fn number(value: f64) -> String {
    if value >= 10.0 || value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_is_at_the_top_and_nothing_at_the_bottom() {
        let svg = lines("x", Scale::Linear, &[Series::new("s", vec![0.0, 10.0])]);
        assert!(svg.contains("points=\"70.0,222.0 900.0,22.0\""), "{svg}");
        let log = lines("x", Scale::Log, &[Series::new("s", vec![0.1, 1.0, 10.0])]);
        assert!(log.contains("70.0,222.0 485.0,122.0 900.0,22.0"), "{log}");
        assert!(lines("empty", Scale::Linear, &[]).ends_with("</svg>\n"));
    }

    #[test]
    fn a_heat_map_has_a_cell_for_each_count() {
        let labels = ["1 ms".to_owned()];
        let svg = heat("x", &labels, &[vec![4, 0], vec![1, 1]]);
        assert_eq!(svg.matches("<rect").count(), 3);
        assert!(svg.contains("fill-opacity=\"1.00\"") && svg.contains("fill-opacity=\"0.50\""), "{svg}");
        let long: Vec<Vec<u64>> = vec![vec![1, 1]; 1_000];
        assert_eq!(heat("x", &labels, &long).matches("<rect").count(), 500, "four seconds in a column");
    }
}
