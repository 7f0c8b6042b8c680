//! Colours by meaning. `anstream` takes them out where they do not belong: files, pipes, `NO_COLOR`.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What needs a look.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// What failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What points somewhere else.
pub(crate) const LINK: Style = AnsiColor::Cyan.on_default();
/// Column heads.
pub(crate) const HEAD: Style = Style::new().bold();
/// What can be read over.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Everything else.
pub(crate) const PLAIN: Style = Style::new();

/// Text in a style.
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    if style.is_plain() {
        return text.to_string();
    }
    format!("{}{text}{}", style.render(), style.render_reset())
}
