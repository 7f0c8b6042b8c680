//! Takes tickets one after another and sends what they stand for.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{
    Failure, Plan,
    link::{Broken, Link, Reply},
    pace::{Pace, Ticket},
    tally::{Live, Outcome, Tally},
};

/// How often one request may meet a connection that closed before a byte of it was written.
const ATTEMPTS: u32 = 5;

/// A refused connection is not tried again at full speed.
const REFUSED_PAUSE: Duration = Duration::from_millis(5);

/// What all workers of all threads share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) pace: Pace,
    pub(super) live: Live,
    pub(super) connections: AtomicU32,
}

/// One lane: an HTTP/1.1 connection, or a stream of an HTTP/2 one.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    /// Shared by all workers of a thread, hence cheap.
    pub(super) tally: Rc<RefCell<Tally>>,
    /// The HTTP/2 connection that this lane is a stream of, shared with its neighbours.
    pub(super) trunk: Option<Rc<Mutex<Option<Link>>>>,
}

impl Worker {
    pub(super) async fn run(self) {
        let mut link = None;
        while let Some(ticket) = self.next(&mut link).await {
            self.shared.live.sent();
            let start = Instant::now();
            let result = if ticket.expired { Err(Failure::Unsent) } else { self.send(ticket.id, &mut link).await };
            let connection = link.as_ref().map_or(u32::MAX, Link::id);
            let refused = matches!(result, Err(Failure::Connect(_)));
            if matches!(result, Err(Failure::Timeout)) {
                link = None; // Its answer may still come, and would be taken for that of the next request.
            }
            self.judge(ticket, start, connection, result);
            if refused {
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
    }

    async fn next(&self, link: &mut Option<Link>) -> Option<Ticket> {
        let next = self.shared.pace.next();
        match link {
            Some(link) => link.meanwhile(next).await,
            None => next.await,
        }
    }

    async fn send(&self, id: u64, link: &mut Option<Link>) -> Result<Reply, Failure> {
        tokio::time::timeout(self.shared.plan.timeout, self.attempt(id, link)).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn attempt(&self, id: u64, link: &mut Option<Link>) -> Result<Reply, Failure> {
        let plan = &self.shared.plan;
        let mut request = plan.request(id);
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.shared.live.resent();
            }
            if link.as_ref().is_none_or(Link::is_over) {
                *link = None;
                *link = Some(self.connect().await?);
            }
            let Some(open) = link else { break };
            match open.exchange(request, plan).await {
                Ok(reply) => return Ok(reply),
                Err(Broken::Failed(failure)) => {
                    // An HTTP/2 stream may fail alone; an HTTP/1.1 connection fails whole.
                    if self.trunk.is_none() {
                        *link = None;
                    }
                    return Err(failure);
                }
                Err(Broken::Unsent(again)) => {
                    request = *again;
                    *link = None;
                }
            }
        }
        Err(Failure::Send(format!("{ATTEMPTS} connections in a row closed before the request was written")))
    }

    async fn connect(&self) -> Result<Link, Failure> {
        let shared = &self.shared;
        let fresh = || Link::connect(&shared.plan, shared.connections.fetch_add(1, Ordering::Relaxed));
        let Some(trunk) = &self.trunk else { return fresh().await };
        let mut trunk = trunk.lock().await;
        if let Some(shared) = trunk.as_ref().filter(|link| !link.is_over()).and_then(Link::share) {
            return Ok(shared);
        }
        let link = fresh().await?;
        let lane = link.share().ok_or_else(|| Failure::Connect("the connection cannot be shared".into()))?;
        *trunk = Some(link);
        Ok(lane)
    }

    fn judge(&self, ticket: Ticket, start: Instant, connection: u32, result: Result<Reply, Failure>) {
        let end = Instant::now();
        let (reply, failure) = match result {
            Ok(reply) => (Some(reply), None),
            Err(failure) => (None, Some(failure)),
        };
        let outcome = Outcome { ticket, connection, start, end, reply, failure };
        self.tally.borrow_mut().add(&self.shared.plan, &self.shared.live, outcome);
    }
}
