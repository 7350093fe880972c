//! Pool metrics and the sizes made of them, against the reference.

use super::{
    Table, close,
    reference::{list, number, vectors},
};
use tragen_domain::{
    agents::pool_metrics::{PoolMeter, PoolMetrics, as_ppm},
    cost::pool::{PoolMetric, PoolRule},
};

#[test]
fn pools_follow_volatility_and_trend_as_the_reference_does() {
    let (Some(reference), Some(eurusd)) = (vectors("strategies"), Table::read("eurusd_h4_2012-2022")) else { return };
    let mut meter = PoolMeter::default();
    let metrics: Vec<PoolMetrics> = eurusd.mid_bars(0.0).iter().map(|bar| meter.update(bar.mid())).collect();
    let rule = |least, most, metric| PoolRule::new(least, most, metric).expect("a rule");
    let scalping = rule(10, 50, PoolMetric::MarketVolatility);
    let swing = rule(5, 20, PoolMetric::TrendStrength);
    let samples = list(&reference["pool_metrics_eurusd_h4"]["samples"]);
    for sample in samples {
        let bar = super::count(&sample["bar"]).expect("a place");
        let (volatility, strength) =
            (metrics[bar].market_volatility.expect("defined"), metrics[bar].trend_strength.expect("defined"));
        close(volatility, number(&sample["market_volatility"]), "market volatility");
        close(strength, number(&sample["trend_strength"]), "trend strength");
        let desired = |rule: &PoolRule, figure| rule.desired(as_ppm(figure).expect("a share"));
        let expected = |name: &str| super::count(&sample[name]).and_then(|n| u32::try_from(n).ok()).expect("a number");
        assert_eq!(desired(&scalping, volatility), expected("scalping_agents"), "{sample}");
        assert_eq!(desired(&swing, strength), expected("swing_agents"), "{sample}");
    }
    println!("{} samples compared", samples.len());
    assert!(samples.len() >= 5);
}
