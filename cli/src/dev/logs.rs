//! The process's own log goes to standard error; what guests write goes where the requests are told of.

use std::{fmt, io};

use tracing::{Subscriber, field::Visit};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, Targets, filter_fn},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::{event::Event, screen::Screen};

/// The target of what guests write.
const GUEST: &str = "guest";
/// Shares that fail are told of as events, once and not with every retry.
const DEFAULT: &str = "warn,penstock_host::app=error";

/// Sets logging up for the whole process. `PENSTOCK_LOG` chooses what is logged, such as `debug`.
pub(super) fn start(screen: Screen) {
    let filter = EnvFilter::try_from_env("PENSTOCK_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    // A filter that does not say what it surely refuses is asked for every span of every host call that a guest makes:
    // without this hint that was a fifth of a call's time.
    let most = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let not_guests = filter_fn(move |metadata| *metadata.level() <= most && metadata.target() != GUEST);
    let not_guests = not_guests.with_max_level_hint(most);
    let own = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never)
        .with_filter(filter)
        .with_filter(not_guests);
    let guests = Guests(screen).with_filter(Targets::new().with_target(GUEST, LevelFilter::INFO));
    // A second call would fail, and there is none.
    let _ = tracing_subscriber::registry().with(own).with(guests).try_init();
}

struct Guests(Screen);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Guests {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Line { share, component, stream, message } = line;
        self.0.chatter(|| Event::Guest { share, component, stream, line: message });
    }
}

#[derive(Default)]
struct Line {
    share: String,
    component: String,
    stream: String,
    message: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        let place = match field.name() {
            "share" => &mut self.share,
            "component" => &mut self.component,
            "stream" => &mut self.stream,
            "message" => &mut self.message,
            _ => return,
        };
        *place = format!("{value:?}");
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "stream" {
            self.stream = value.to_owned();
        } else {
            self.record_debug(field, &format_args!("{value}"));
        }
    }
}
