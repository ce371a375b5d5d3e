//! Lines of a bounded length from a pipe.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// A longer line is cut in the log and is junk as progress.
pub(super) const LINE_MAX: usize = 8 * 1024;

/// Reads lines; what is over [`LINE_MAX`] of one is dropped and said so.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    cut: bool,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Without its newline; bytes that are not UTF-8 are replaced.
    pub(super) text: String,
    /// Whether its end was dropped.
    pub(super) cut: bool,
}

// === impl Lines ===

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::new(reader),
            line: Vec::new(),
            cut: false,
        }
    }

    /// The next line, the last one also without a newline; `None` at the end.
    ///
    /// Cancellation safe: what was read of a line is kept.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok((!self.line.is_empty()).then(|| self.finish()));
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let piece = &chunk[..newline.unwrap_or(chunk.len())];
            let room = LINE_MAX - self.line.len();
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            self.cut |= piece.len() > room;
            let used = piece.len() + usize::from(newline.is_some());
            self.reader.consume(used);
            if newline.is_some() {
                return Ok(Some(self.finish()));
            }
        }
    }

    fn finish(&mut self) -> Line {
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end_matches('\r').to_owned();
        self.line.clear();
        let cut = std::mem::take(&mut self.cut);
        Line { text, cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(bytes: &[u8]) -> Vec<(String, bool)> {
        let mut lines = Lines::new(bytes);
        let mut found = vec![];
        while let Some(line) = lines.next().await.unwrap() {
            found.push((line.text, line.cut));
        }
        found
    }

    #[tokio::test]
    async fn lines_end_at_a_newline_or_at_the_end() {
        let found = lines(b"a\r\n\nb\xff\nc").await;
        let texts: Vec<_> = found.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["a", "", "b\u{fffd}", "c"]);
    }

    #[tokio::test]
    async fn an_endless_line_is_cut_once_and_the_next_one_is_whole() {
        let mut bytes = vec![b'x'; 5 * LINE_MAX];
        bytes.extend(b"\nnext\n");
        let found = lines(&bytes).await;
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].0.len(), found[0].1), (LINE_MAX, true));
        assert_eq!(found[1], ("next".into(), false));
    }
}
