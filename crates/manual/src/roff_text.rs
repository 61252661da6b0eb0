//! Pieces that all man pages are made of.

use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::manifest::Manifest;

/// A page that has its title and its `NAME`, and nothing else yet.
pub(crate) fn page(title: &str, section: &str, manifest: &Manifest, about: &str) -> Roff {
    let source = format!("{} {}", manifest.name, manifest.version);
    let mut roff = Roff::new();
    roff.control("TH", [title, section, "", &source, "Observability stack"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{title} - {about}"))]);
    roff
}

/// Text in which code stands in backticks, as in documentation comments.
pub(crate) fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts
        .filter(|(_, part)| !part.is_empty())
        .map(|(index, part)| {
            if index % 2 == 0 {
                roman(part)
            } else {
                bold(part)
            }
        })
        .collect()
}

/// The last section: where to read on.
pub(crate) fn see_also(roff: &mut Roff, pages: &[String]) {
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages.join(", "))]);
}
