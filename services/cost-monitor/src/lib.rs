//! tragen-cost-monitor
