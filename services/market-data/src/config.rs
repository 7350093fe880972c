//! What market-data is told: which feed plays, how fast, and every limit.

use crate::file::Window;
use serde::Deserialize;
use std::path::PathBuf;

/// Settings of market-data.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What plays: `sample`, `none`, or files and folders.
    pub feed: Feed,
    /// First market day of a file feed that plays, e.g. `2012-02-01`; empty for the first there is.
    pub from_date: String,
    /// First market day that plays no more; empty for none.
    pub to_date: String,
    /// Market seconds per wall second; 0 plays as fast as possible.
    pub speed: f64,
    /// The same seed makes the same sample.
    pub seed: u64,
    /// Whether the sample starts again when it ends, a day later in market time.
    pub is_sample_looped: bool,
    /// How often the quote of every open instrument is published again, wall clock.
    pub quote_refresh_ms: u64,
    /// Where the sample's files are written, in the folder `sample`.
    pub data_dir: PathBuf,
    /// How long before kick-off a match can be traded, market time.
    pub listing_hours: u16,
    /// Market time at the start that is played at once, so that agents have bars to look at.
    pub warm_up_hours: u16,
    /// A longer pause between two events is shortened to this, market time.
    pub gap_secs_max: u32,
    /// How often the progress of a file feed is logged, wall clock.
    pub progress_secs: u64,
    /// Largest file that is read.
    pub file_mib_max: u64,
    /// Most rows of all files together.
    pub rows_max: usize,
    /// Bound of each request lane when the topology is put in place again; the same in every service.
    pub lane_messages_max: i64,
}

/// What plays.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "FeedText")]
pub enum Feed {
    /// A generated match day with currencies and a coin.
    Sample,
    /// Nothing: no instruments.
    None,
    /// CSV files, and folders of them.
    Files(Vec<PathBuf>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FeedText {
    Name(String),
    Paths(Vec<PathBuf>),
}

impl TryFrom<FeedText> for Feed {
    type Error = ConfigError;

    fn try_from(text: FeedText) -> Result<Self, ConfigError> {
        match text {
            FeedText::Name(name) => Self::parse(&name),
            FeedText::Paths(paths) if paths.is_empty() => Err(ConfigError::NoPaths),
            FeedText::Paths(paths) => Ok(Self::Files(paths)),
        }
    }
}

impl Feed {
    /// `sample`, `none`, or paths with commas between them.
    ///
    /// # Errors
    /// [`ConfigError::NoPaths`] for an empty text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        match text.trim() {
            "" => Err(ConfigError::NoPaths),
            "sample" => Ok(Self::Sample),
            "none" => Ok(Self::None),
            paths => Ok(Self::Files(paths.split(',').map(|path| PathBuf::from(path.trim())).collect())),
        }
    }
}

/// Which setting cannot be used, and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The feed names nothing.
    #[error("market_data.feed: expected `sample`, `none` or at least one path")]
    NoPaths,
    /// `from_date` or `to_date` is no date.
    #[error("market_data.from_date and to_date: {0}")]
    Date(String),
    /// A number is outside its range.
    #[error("market_data.{key}: {value} is not {expected}")]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            feed: Feed::Sample,
            from_date: String::new(),
            to_date: String::new(),
            speed: 60.0,
            seed: 1,
            is_sample_looped: true,
            quote_refresh_ms: 1_000,
            data_dir: PathBuf::from("data"),
            listing_hours: 24,
            warm_up_hours: 8,
            gap_secs_max: 600,
            progress_secs: 10,
            file_mib_max: 256,
            rows_max: 5_000_000,
            lane_messages_max: 10_000,
        }
    }
}

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |is_valid: bool, key: &'static str, value: &dyn ToString, expected: &'static str| {
            if is_valid { Ok(()) } else { Err(ConfigError::OutOfRange { key, value: value.to_string(), expected }) }
        };
        Window::parse(&self.from_date, &self.to_date).map_err(ConfigError::Date)?;
        check((0.0..=1e9).contains(&self.speed), "speed", &self.speed, "0 to 1e9")?;
        check(
            (10..=60_000).contains(&self.quote_refresh_ms),
            "quote_refresh_ms",
            &self.quote_refresh_ms,
            "10 to 60,000",
        )?;
        check((1..=720).contains(&self.listing_hours), "listing_hours", &self.listing_hours, "1 to 720")?;
        check(self.gap_secs_max > 0, "gap_secs_max", &self.gap_secs_max, "above 0")?;
        check(self.progress_secs > 0, "progress_secs", &self.progress_secs, "above 0")?;
        check((1..=4_096).contains(&self.file_mib_max), "file_mib_max", &self.file_mib_max, "1 to 4,096")?;
        check(self.rows_max > 0, "rows_max", &self.rows_max, "above 0")?;
        check(self.lane_messages_max > 0, "lane_messages_max", &self.lane_messages_max, "above 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_a_name_or_paths() {
        assert_eq!(Feed::parse("sample"), Ok(Feed::Sample));
        assert_eq!(Feed::parse("none"), Ok(Feed::None));
        assert_eq!(Feed::parse("a.csv, b"), Ok(Feed::Files(vec!["a.csv".into(), "b".into()])));
        assert_eq!(Feed::parse(" "), Err(ConfigError::NoPaths));
        let load = |text: &str| {
            let variables = [("T__FEED".to_owned(), text.to_owned())];
            tragen_host::config::load::<Config>(None, "T", variables).map(|config| config.feed)
        };
        assert_eq!(load("none").expect("valid"), Feed::None);
        assert_eq!(load("[\"a.csv\"]").expect("valid"), Feed::Files(vec!["a.csv".into()]));
        assert!(load("[]").is_err() && load("7").is_err());
    }

    #[test]
    fn a_bad_setting_is_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        for speed in [-1.0, f64::NAN, f64::INFINITY] {
            let refused = Config { speed, ..Config::default() }.validate().expect_err("refused");
            assert!(refused.to_string().starts_with("market_data.speed: "), "{refused}");
        }
        let refused = Config { quote_refresh_ms: 0, ..Config::default() }.validate().expect_err("refused");
        assert!(refused.to_string().starts_with("market_data.quote_refresh_ms: 0"), "{refused}");
    }
}
