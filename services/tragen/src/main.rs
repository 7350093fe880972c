//! The program `tragen`.

use std::process::ExitCode;

// Every service handles many short texts, made in one thread and dropped in another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tragen::run()
}
