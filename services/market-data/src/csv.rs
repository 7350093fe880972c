//! Splits CSV text into rows (RFC 4180, strictly): quoted fields may hold
//! commas, line ends and doubled quotes; a quote anywhere else is an error.

use std::borrow::Cow;

/// One row and where it starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    /// Line in the file, from 1.
    pub(crate) line: usize,
    /// The fields without their quotes.
    pub(crate) fields: Vec<Cow<'a, str>>,
}

/// A row that is not CSV; reading goes on with the next line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Line in the file, from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) reason: &'static str,
}

/// The rows of a text, in order.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Rows<'a> {
    /// The rows of `text`; a byte order mark is passed over.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 }
    }

    /// One field, and whether the row goes on after it.
    fn field(&mut self) -> Result<(Cow<'a, str>, bool), &'static str> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let (field, does_go_on) = self.until_separator();
            return if field.contains('"') { Err("a quote inside a field") } else { Ok((field.into(), does_go_on)) };
        };
        let mut field = Cow::Borrowed("");
        let mut rest = quoted;
        loop {
            let Some(end) = rest.find('"') else { return Err("a quote that does not end") };
            field += &rest[..end];
            rest = &rest[end + 1..];
            let Some(after) = rest.strip_prefix('"') else { break };
            field += "\"";
            rest = after;
        }
        self.line += field.matches('\n').count();
        self.rest = rest;
        match self.until_separator() {
            ("", does_go_on) => Ok((field, does_go_on)),
            _ => Err("text after a closing quote"),
        }
    }

    fn until_separator(&mut self) -> (&'a str, bool) {
        let Some(end) = self.rest.find([',', '\n']) else {
            let field = std::mem::take(&mut self.rest);
            return (field.strip_suffix('\r').unwrap_or(field), false);
        };
        let (field, does_go_on) = (&self.rest[..end], self.rest.as_bytes()[end] == b',');
        self.rest = &self.rest[end + 1..];
        if does_go_on {
            return (field, true);
        }
        self.line += 1;
        (field.strip_suffix('\r').unwrap_or(field), false)
    }

    /// Gives the row at `line` up.
    fn pass_over(&mut self, line: usize) {
        if self.line == line {
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            self.line += 1;
        }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let line = self.line;
        let mut fields = Vec::new();
        loop {
            match self.field() {
                Ok((field, does_go_on)) => {
                    fields.push(field);
                    if !does_go_on {
                        return Some(Ok(Row { line, fields }));
                    }
                }
                Err(reason) => {
                    self.pass_over(line);
                    return Some(Err(Malformed { line, reason }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, Result<&[&str], &'static str>)]) {
        let rows: Vec<_> = Rows::new(text).collect();
        assert_eq!(rows.len(), expected.len(), "{text:?}: {rows:?}");
        for (row, (line, expected)) in rows.iter().zip(expected) {
            match (row, expected) {
                (Ok(row), Ok(fields)) => {
                    assert_eq!((row.line, row.fields.as_slice() == *fields), (*line, true), "{text:?}: {row:?}");
                }
                (Err(bad), Err(reason)) => assert_eq!((bad.line, bad.reason), (*line, *reason), "{text:?}"),
                (row, _) => panic!("{text:?}: {row:?}"),
            }
        }
    }

    #[test]
    fn rows_are_split_as_rfc_4180_says() {
        check("a,b\n1,2\n", &[(1, Ok(&["a", "b"])), (2, Ok(&["1", "2"]))]);
        check("\u{feff}a,b\r\n1,\r\n", &[(1, Ok(&["a", "b"])), (2, Ok(&["1", ""]))]);
        check("a,\"b, c\",\"d \"\"e\"\"\"", &[(1, Ok(&["a", "b, c", "d \"e\""]))]);
        check("\"two\nlines\",x\ny,z", &[(1, Ok(&["two\nlines", "x"])), (3, Ok(&["y", "z"]))]);
        check("", &[]);
    }

    #[test]
    fn a_broken_row_does_not_take_the_next_one_with_it() {
        check("a\"b,c\nd,e", &[(1, Err("a quote inside a field")), (2, Ok(&["d", "e"]))]);
        check("\"a\"b,c\nd", &[(1, Err("text after a closing quote")), (2, Ok(&["d"]))]);
        check("\"a,c\nd", &[(1, Err("a quote that does not end")), (2, Ok(&["d"]))]);
    }
}
