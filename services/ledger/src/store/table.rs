//! A table's row, declared once: the struct, its columns, and how it goes in
//! and out of both databases in bulk.

use uuid::Uuid;

/// Takes the columns of a row, in their order.
pub(crate) trait Sink {
    /// A 64-bit number, or NULL.
    fn int(&mut self, value: Option<i64>);
    /// A 32-bit number.
    fn small(&mut self, value: i32);
    /// A truth value.
    fn bool(&mut self, value: bool);
    /// A text.
    fn text(&mut self, value: &str);
    /// Bytes.
    fn bytes(&mut self, value: &[u8]);
    /// An id of 16 bytes.
    fn uuid(&mut self, value: &Uuid);
}

/// Gives the columns of a row, in their order.
pub(crate) trait Source {
    /// A 64-bit number, or NULL.
    fn int(&mut self) -> Result<Option<i64>, Mistyped>;
    /// A 32-bit number.
    fn small(&mut self) -> Result<i32, Mistyped>;
    /// A truth value.
    fn bool(&mut self) -> Result<bool, Mistyped>;
    /// A text.
    fn text(&mut self) -> Result<&str, Mistyped>;
    /// Bytes.
    fn bytes(&mut self) -> Result<&[u8], Mistyped>;
    /// An id of 16 bytes.
    fn uuid(&mut self) -> Result<Uuid, Mistyped>;
}

/// A stored value is not of its column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored value is not of its column's type")]
pub(crate) struct Mistyped;

/// A type that a column can have.
pub(crate) trait Column: Sized {
    /// Hands the value to `sink`.
    fn put(&self, sink: &mut impl Sink);
    /// Takes the value from `source`.
    fn take(source: &mut impl Source) -> Result<Self, Mistyped>;
}

/// A row of a table of the books.
pub(crate) trait Row: Sized {
    /// The table's name.
    const TABLE: &'static str;
    /// Its columns, in the order of the struct's fields, separated by commas.
    const COLUMNS: &'static str;
    /// How many columns there are.
    const WIDTH: i16;
    /// Hands every column to `sink`.
    fn put(&self, sink: &mut impl Sink);
    /// Takes every column from `source`.
    fn take(source: &mut impl Source) -> Result<Self, Mistyped>;
}

macro_rules! columns {
    ($($type:ty: $method:ident, $value:ident => $given:expr, $taken:ident => $kept:expr;)*) => {
        $(impl Column for $type {
            fn put(&self, sink: &mut impl Sink) {
                let $value = self;
                sink.$method($given);
            }
            fn take(source: &mut impl Source) -> Result<Self, Mistyped> {
                let $taken = source.$method()?;
                $kept
            }
        })*
    };
}

columns! {
    i64: int, value => Some(*value), taken => taken.ok_or(Mistyped);
    Option<i64>: int, value => *value, taken => Ok(taken);
    i32: small, value => *value, taken => Ok(taken);
    bool: bool, value => *value, taken => Ok(taken);
    String: text, value => value, taken => Ok(taken.to_owned());
    Vec<u8>: bytes, value => value, taken => Ok(taken.to_vec());
    Uuid: uuid, value => value, taken => Ok(taken);
}

/// Declares the row of a table: `table! { /// docs  Name in "table" { column: Type, ... } }`.
macro_rules! table {
    ($(#[$docs:meta])* $name:ident in $table:literal { $($(#[$about:meta])* $column:ident: $type:ty,)* }) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
        pub(crate) struct $name {
            $($(#[$about])* pub(crate) $column: $type,)*
        }

        impl $crate::store::session::Record for $name {
            const SELECTED: &'static str = <Self as $crate::store::table::Row>::COLUMNS;
        }

        impl $crate::store::table::Row for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static str = $crate::store::table::table!(@join $($column)*);
            const WIDTH: i16 = 0 $(+ { let _ = stringify!($column); 1 })*;

            fn put(&self, sink: &mut impl $crate::store::table::Sink) {
                $($crate::store::table::Column::put(&self.$column, sink);)*
            }

            fn take(
                source: &mut impl $crate::store::table::Source,
            ) -> Result<Self, $crate::store::table::Mistyped> {
                Ok(Self { $($column: $crate::store::table::Column::take(source)?,)* })
            }
        }
    };
    (@join $first:ident $($rest:ident)*) => { concat!(stringify!($first) $(, ", ", stringify!($rest))*) };
}
pub(crate) use table;
