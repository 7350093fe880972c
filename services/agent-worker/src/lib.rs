//! tragen-agent-worker
