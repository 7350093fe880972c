//! The wire contract: generated protobuf, its JSON form, and the way between
//! protobuf and the domain's checked types.

pub mod convert;
mod trade_id;

pub use trade_id::{cash_correction_id, execution_correction_id, trade_id};

/// Messages and services of package `tragen.v1`, generated from `proto/`.
pub mod v1 {
    #![expect(clippy::all, clippy::pedantic, clippy::too_many_lines, reason = "generated code")]
    tonic::include_proto!("tragen.v1");
    include!(concat!(env!("OUT_DIR"), "/tragen.v1.serde.rs"));
}

/// The encoded `FileDescriptorSet` of all files, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
