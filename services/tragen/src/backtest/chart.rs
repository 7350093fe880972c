//! Charts as SVG inside the page: lines, bars and points, without a script and
//! without a font, image or style from outside.

use std::fmt::Write as _;

/// Points of a line: more than a screen has columns.
const POINTS_MAX: usize = 1_500;
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
const MARGIN: f64 = 8.0;

/// A line over its whole width, `values` evenly spaced; `class` picks its color.
pub(crate) fn line(title: &str, values: &[f64], labels: (&str, &str), class: &str) -> String {
    if values.len() < 2 {
        return empty(title);
    }
    let thinned = thinned(values);
    let scale = Scale::of(&thinned);
    let last = float(thinned.len() - 1);
    let mut path = String::with_capacity(thinned.len() * 14);
    for (place, value) in thinned.iter().enumerate() {
        let x = MARGIN + (WIDTH - 2.0 * MARGIN) * float(place) / last;
        let _ = write!(path, "{}{x:.1},{:.1} ", if place == 0 { "M" } else { "L" }, scale.y(*value));
    }
    let mut svg = frame(title);
    if scale.low < 0.0 && scale.high > 0.0 {
        let y = scale.y(0.0);
        let _ = write!(svg, "<path class=\"axis\" d=\"M{MARGIN},{y:.1} L{:.1},{y:.1}\"/>", WIDTH - MARGIN);
    }
    let _ = write!(svg, "<path class=\"{class}\" d=\"{}\"/>", path.trim_end());
    let _ = write!(svg, "<text x=\"{MARGIN}\" y=\"14\">{}</text>", short(scale.high));
    let _ = write!(svg, "<text x=\"{MARGIN}\" y=\"{:.0}\">{}</text>", HEIGHT - 4.0, short(scale.low));
    let (from, to) = (escape(labels.0), escape(labels.1));
    let _ = write!(svg, "<text x=\"{:.0}\" y=\"{:.0}\">{from}</text>", WIDTH / 3.0, HEIGHT - 4.0);
    let right = WIDTH - MARGIN;
    let _ = write!(svg, "<text class=\"end\" x=\"{right}\" y=\"{:.0}\">{to}</text></svg>", HEIGHT - 4.0);
    svg
}

/// One upright bar for each name, up for gains and down for losses.
pub(crate) fn columns(title: &str, bars: &[(String, f64)]) -> String {
    if bars.is_empty() {
        return empty(title);
    }
    let values: Vec<f64> = bars.iter().map(|(_, value)| *value).chain([0.0]).collect();
    let scale = Scale::of(&values);
    let step = (WIDTH - 2.0 * MARGIN) / float(bars.len());
    let mut svg = frame(title);
    for (place, (name, value)) in bars.iter().enumerate() {
        let (zero, y) = (scale.y(0.0), scale.y(*value));
        let (top, height) = (zero.min(y), (zero - y).abs());
        let x = MARGIN + step * float(place);
        let class = if *value < 0.0 { "loss" } else { "gain" };
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{}: {}</title></rect>",
            (step * 0.8).max(0.5),
            escape(name),
            short(*value)
        );
    }
    let _ = write!(svg, "<text x=\"{MARGIN}\" y=\"14\">{}</text>", short(scale.high));
    let _ = write!(svg, "<text x=\"{MARGIN}\" y=\"{:.0}\">{}</text></svg>", HEIGHT - 4.0, short(scale.low));
    svg
}

/// Believed against happened, both 0 to 1; a point's size is how many outcomes it stands for.
pub(crate) fn calibration(title: &str, points: &[(f64, f64, usize)]) -> String {
    const SIDE: f64 = 260.0;
    let at = |share: f64| MARGIN + (SIDE - 2.0 * MARGIN) * share.clamp(0.0, 1.0);
    let (near, far) = (at(0.0), at(1.0));
    let mut svg = format!(
        "<svg viewBox=\"0 0 {SIDE} {SIDE}\" class=\"square\" role=\"img\"><title>{}</title>\
         <path class=\"axis\" d=\"M{near},{far} L{far},{near}\"/>",
        escape(title)
    );
    let most = points.iter().map(|(_, _, count)| *count).max().unwrap_or(1).max(1);
    for (believed, happened, count) in points {
        let share = float(*count) / float(most);
        let (x, y, r) = (at(*believed), at(1.0 - happened), 2.0 + 6.0 * share.sqrt());
        let _ = write!(
            svg,
            "<circle class=\"line\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r:.1}\"><title>{count} outcomes: believed {believed:.3}, \
             happened {happened:.3}</title></circle>"
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Text that means nothing to a browser but itself.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() && c != '\n' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// From the lowest to the highest value, upside down as screens are.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(values: &[f64]) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self { low, high }
    }

    fn y(&self, value: f64) -> f64 {
        let span = self.high - self.low;
        let share = if span > 0.0 { (value - self.low) / span } else { 0.5 };
        HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * share
    }
}

/// At most [`POINTS_MAX`] of the values; the first and the last one stay.
fn thinned(values: &[f64]) -> Vec<f64> {
    let step = values.len().div_ceil(POINTS_MAX);
    let mut kept: Vec<f64> = values.iter().copied().step_by(step).collect();
    if !(values.len() - 1).is_multiple_of(step) {
        kept.extend(values.last());
    }
    kept
}

fn frame(title: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>{}</title>", escape(title))
}

fn empty(title: &str) -> String {
    format!("<p>{}: nothing to draw.</p>", escape(title))
}

fn short(value: f64) -> String {
    if value.abs() >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}

fn float(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_file_becomes_markup() {
        let evil = "<script>alert('x')</script>&\"\u{0}";
        assert_eq!(escape(evil), "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}");
        for svg in [line(evil, &[1.0, 2.0], (evil, evil), "line"), columns(evil, &[(evil.to_owned(), 1.0)])] {
            assert!(!svg.contains("<script") && svg.starts_with("<svg"), "{svg}");
        }
    }

    #[test]
    fn a_line_has_its_first_and_last_value_however_long_it_is() {
        let values: Vec<f64> = (0..5_000_i32).map(f64::from).collect();
        let thinned = thinned(&values);
        assert!(thinned.len() <= POINTS_MAX + 1 && thinned[0] < 1.0);
        assert_eq!(thinned.last(), Some(&4_999.0));
        assert!(line("x", &[1.0], ("", ""), "line").contains("nothing to draw"));
        // A flat line is drawn in the middle, not at NaN.
        assert!(!line("x", &[1.0, 1.0], ("", ""), "line").contains("NaN"));
    }
}
