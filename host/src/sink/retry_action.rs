//! Table of HTTP statuses: defines for each status what happens to the event. It follows the table
//! "Event Acknowledgement and Delivery Retry" of Knative's data plane contract (knative/specs,
//! specs/eventing/data-plane.md); the comment of each row that differs gives the reason.
//! `docs/delivery.md` has the same table for users.

use super::RetryAction;

/// Returns what to do after a status, or `None` if the status says that the event was accepted.
#[must_use]
pub fn after_status(status: u16) -> Option<RetryAction> {
    match status {
        // Knative: 200, 202 and other 2xx: delivery completed. The observer does not ask for a
        // reply event: it sends no `Prefer: reply`.
        200..=299 => None,
        // Knative: 1xx and 3xx: not retried, not delivered. Redirects are not followed, because
        // they could send events and credentials to any server.
        0..=199 | 300..=399 => Some(RetryAction::Reject),
        // Knative: 404: retried. The endpoint may not be set up yet.
        404 => Some(RetryAction::LATER),
        // Knative: 409: retried. The receiver works on the event, or on its subject, at the moment.
        409 => Some(RetryAction::LATER),
        // Knative: 429: retried. With `Retry-After` the whole sink pauses (`http/pause_request.rs`).
        429 => Some(RetryAction::LATER),
        // Knative: "other 4xx", not retried. Differs: the event is retried, because an operator can
        // renew expired credentials or grant a missing right, and the event is still valid after
        // that.
        401 | 403 => Some(RetryAction::LATER),
        // Knative: "other 4xx", not retried. Differs: the event is retried, because the receiver
        // did not get the whole request in time (RFC 9110 §15.5.9). The status says nothing about
        // the event.
        408 => Some(RetryAction::LATER),
        // Knative: "other 4xx", not retried. Differs: the event is retried, because the server asks
        // for the same request later, outside TLS early data (RFC 8470 §5.2).
        425 => Some(RetryAction::LATER),
        // Knative: "other 4xx", not retried. Differs: the receiver is gone, but the event is valid,
        // so the sink is suspended and the event is kept (CloudEvents HTTP webhook §2.2: the sender
        // must not send there again).
        410 => Some(RetryAction::Suspend),
        // Knative: 400 and other 4xx: not retried.
        400..=499 => Some(RetryAction::Reject),
        // Knative: 5xx: retried. Statuses that are not in Knative's table SHOULD be retried, too.
        500.. => Some(RetryAction::LATER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_row() {
        let retry = Some(RetryAction::LATER);
        for (status, expected) in [
            (200, None),
            (202, None),
            (204, None),
            (301, Some(RetryAction::Reject)),
            (307, Some(RetryAction::Reject)),
            (400, Some(RetryAction::Reject)),
            (401, retry),
            (403, retry),
            (404, retry),
            (408, retry),
            (409, retry),
            (410, Some(RetryAction::Suspend)),
            (413, Some(RetryAction::Reject)),
            (425, retry),
            (429, retry),
            (500, retry),
            (503, retry),
            (599, retry),
            (600, retry),
            (999, retry),
            (402, Some(RetryAction::Reject)),
            (405, Some(RetryAction::Reject)),
            (422, Some(RetryAction::Reject)),
            (499, Some(RetryAction::Reject)),
            (100, Some(RetryAction::Reject)),
        ] {
            assert_eq!(after_status(status), expected, "{status}");
        }
    }
}
