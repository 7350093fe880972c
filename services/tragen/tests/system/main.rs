//! The whole system from outside: built programs, real servers, the public API.

mod command_line;
mod smoke;
mod support;
