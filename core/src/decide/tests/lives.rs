//! All states, and what they are called.

use super::*;

pub(super) fn life(state: State) -> Life {
    let mut life = Life::accepted(Moment::at(now()));
    life.lost = CURRENT - 1;
    if matches!(state, State::Running { .. } | State::Stopping { .. }) {
        life.worker = Some("w".into());
    }
    life.state = state;
    life
}

fn stopped(why: Stop, state: State) -> Life {
    Life {
        stop: Some(why),
        ..life(state)
    }
}

/// Inherited; the status names a worker.
fn of_w(life: Life) -> Life {
    Life {
        worker: Some("w".into()),
        ..life
    }
}

/// Its first attempt failed, and was counted.
fn failed(state: State) -> Life {
    let mut life = Life {
        lost: CURRENT - 2,
        failed: 1,
        ..life(state)
    };
    remember(&mut life, 1, Reason::JobFailed, "exit code 75", now());
    life
}

fn done(by: Option<Reported>, written: bool) -> Life {
    let end = End::Succeeded {
        result: None,
        artifacts: vec![],
    };
    ended(end, by, written)
}

fn ended(end: End, by: Option<Reported>, written: bool) -> Life {
    life(State::Done(Done {
        end,
        at: Moment::at(now()),
        attempt: CURRENT,
        by,
        written,
    }))
}

pub(super) fn reported() -> Reported {
    Reported {
        by: holder("w"),
        attempt: CURRENT,
    }
}

/// All states.
pub(super) fn lives() -> Vec<Life> {
    let w = || holder("w");
    let stopping = |back| State::Stopping { by: w(), back };
    let saving = |record, pause| State::Saving { record, pause };
    let behind = |attached| State::Behind {
        earlier: Uid::new("earlier"),
        attached,
    };
    let until = now().mono;
    let earlier = Reported {
        attempt: 1,
        ..reported()
    };
    let mut lives = vec![
        life(State::Recovering),
        of_w(life(State::Recovering)),
        failed(State::Recovering),
        life(State::Waiting),
        life(saving(None, Duration::ZERO)),
        life(saving(Some(reported()), Duration::ZERO)),
        failed(saving(Some(earlier), Duration::from_secs(3))),
        failed(State::Backoff { until }),
        life(behind(true)),
        life(behind(false)),
        life(State::Offered {
            since: Duration::ZERO,
        }),
        life(State::Reserved { by: w() }),
        life(State::Running { by: w() }),
        life(stopping(false)),
        life(stopping(true)),
        done(None, false),
        done(None, true),
        done(Some(reported()), false),
        done(Some(reported()), true),
        ended(End::Foreign, None, true),
    ];
    for why in [Stop::Cancelled, Stop::Replaced, Stop::Deadline] {
        lives.extend([
            stopped(why, State::Recovering),
            of_w(stopped(why, State::Recovering)),
            stopped(why, State::Running { by: w() }),
            stopped(why, stopping(false)),
            stopped(why, stopping(true)),
        ]);
    }
    lives
}

pub(super) fn name(life: &Life) -> String {
    let name = match &life.state {
        State::Recovering if life.worker.is_some() => "Recovering of w".into(),
        State::Recovering if !life.past.is_empty() => "Recovering failed".into(),
        State::Recovering => "Recovering".into(),
        State::Waiting => "Waiting".into(),
        State::Backoff { .. } => "Backoff".into(),
        State::Behind { attached: true, .. } => "Attached".into(),
        State::Behind { .. } => "Replacing".into(),
        State::Saving { record, pause } => {
            let record = record.as_ref();
            let to = record.map(|outcome| format!(" for {}", outcome.by.worker));
            let pause = if pause.is_zero() { "" } else { " pausing" };
            format!("Saving{}{pause}", to.unwrap_or_default())
        }
        State::Offered { .. } => "Offered".into(),
        State::Reserved { by } => format!("Reserved {}", by.worker),
        State::Running { by } => format!("Running {}", by.worker),
        State::Stopping { by, back: false } => format!("Stopping {}", by.worker),
        State::Stopping { by, back: true } => format!("Stopping {} back", by.worker),
        State::Done(done) => return done_name(done),
    };
    match life.stop {
        None => name,
        Some(Stop::Cancelled) => format!("{name} cancelled"),
        Some(Stop::Replaced) => format!("{name} replaced"),
        Some(Stop::Deadline) => format!("{name} late"),
    }
}

fn done_name(done: &Done) -> String {
    let by = done.by.as_ref();
    let by = by.map(|outcome| format!(" by {}", outcome.by.worker));
    let end = match &done.end {
        End::Failed { reason, .. } | End::Rejected { reason, .. } | End::Cancelled(reason) => {
            reason.as_str()
        }
        End::Succeeded { .. } => "Succeeded",
        End::Foreign => "Foreign",
    };
    let written = if done.written { " written" } else { "" };
    format!("{end}{}{written}", by.unwrap_or_default())
}
