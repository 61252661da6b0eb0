//! `alert-bot-policy.5`: the document about the policy, in the words and order that it has.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::manifest::Manifest;
use crate::roff_text;

/// The whole page.
pub(crate) fn render(title: &str, manifest: &Manifest, markdown: &str) -> String {
    let about = "what alert-bot may do about which alerts, to which units";
    let mut roff = roff_text::page(title, "5", manifest, about);
    roff.control("SH", ["DESCRIPTION"]);
    let mut page = Page {
        roff,
        line: Vec::new(),
        row: Vec::new(),
        head: Vec::new(),
        is_code: false,
    };
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.take(event);
    }
    roff_text::see_also(&mut page.roff, &["alert-bot(8)".to_owned()]);
    page.roff.render()
}

struct Page {
    roff: Roff,
    /// What stands in the paragraph, heading or cell so far.
    line: Vec<Inline>,
    /// The cells of the table's row so far.
    row: Vec<Vec<Inline>>,
    /// The first row of the table: what its columns are.
    head: Vec<Vec<Inline>>,
    is_code: bool,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.open(&tag),
            Event::End(tag) => self.close(tag),
            Event::Text(text) if self.is_code => {
                for line in text.lines() {
                    self.roff.text([roman(line)]);
                }
            }
            Event::Text(text) => self.line.push(roman(text.to_string())),
            Event::Code(text) => self.line.push(bold(text.to_string())),
            Event::SoftBreak | Event::HardBreak => self.line.push(roman(" ")),
            _ => {}
        }
    }

    fn open(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Paragraph => {
                self.roff.control("PP", []);
            }
            Tag::Item => {
                self.roff.control("IP", ["*", "2"]);
            }
            Tag::CodeBlock(_) => {
                self.roff.control("PP", []);
                self.roff.control("RS", ["4"]);
                self.roff.control("EX", []);
                self.is_code = true;
            }
            Tag::TableRow => {
                self.roff.control("TP", []);
            }
            _ => {}
        }
    }

    fn close(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(HeadingLevel::H1) => self.line.clear(),
            TagEnd::Heading(HeadingLevel::H2) => self.heading("SH"),
            TagEnd::Heading(_) => self.heading("SS"),
            TagEnd::Paragraph | TagEnd::Item => self.flush(),
            TagEnd::CodeBlock => {
                self.is_code = false;
                self.roff.control("EE", []);
                self.roff.control("RE", []);
            }
            TagEnd::TableCell => self.row.push(std::mem::take(&mut self.line)),
            TagEnd::TableHead => self.head = std::mem::take(&mut self.row),
            TagEnd::TableRow => self.entry(),
            _ => {}
        }
    }

    fn flush(&mut self) {
        if !self.line.is_empty() {
            self.roff.text(std::mem::take(&mut self.line));
        }
    }

    fn heading(&mut self, control: &str) {
        let words: String = std::mem::take(&mut self.line)
            .into_iter()
            .map(plain)
            .collect();
        let words = if control == "SH" {
            words.to_uppercase()
        } else {
            words
        };
        self.roff.control(control, [words.as_str()]);
    }

    /// A row as an entry: its first cell, in brackets the cells between, below them the last one.
    fn entry(&mut self) {
        let mut cells = std::mem::take(&mut self.row).into_iter().zip(&self.head);
        let Some((mut tag, _)) = cells.next() else {
            return;
        };
        let body = cells.next_back().map(|(cell, _)| cell).unwrap_or_default();
        for (cell, column) in cells.filter(|(cell, _)| !cell.is_empty()) {
            tag.push(roman(" ("));
            tag.extend(column.iter().cloned().map(|word| italic(plain(word))));
            tag.push(roman(": "));
            tag.extend(cell);
            tag.push(roman(")"));
        }
        self.roff.text(tag);
        self.roff.text(body);
    }
}

/// The words without their font.
fn plain(inline: Inline) -> String {
    match inline {
        Inline::Roman(text) | Inline::Bold(text) | Inline::Italic(text) => text,
        Inline::LineBreak => String::new(),
    }
}
