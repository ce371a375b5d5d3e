//! The warden's process: one thread, one socket, one timer.

use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{SigSet, Signal, killpg},
        time::TimeSpec,
        timer::{Expiration, TimerSetTimeFlags},
        timerfd::{ClockId, TimerFd, TimerFlags},
    },
    unistd::{Pid, getppid, setsid},
};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

use super::{
    strays,
    ward::{Doomed, Ward},
    words::{Answer, LINE_MAX, Order},
};
use isc_runtime::clock;

/// The worker's end of the conversation.
struct Line {
    stream: UnixStream,
    /// What came of a line that is not whole yet.
    begun: Vec<u8>,
}

/// Runs until the worker is gone, and kills what is left of it.
pub(super) fn run() -> io::Result<()> {
    isolate();
    let worker = worker();
    let mut line = Line::open()?;
    line.say(Answer::Ready)?;
    let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC)?;
    let mut ward = Ward::default();
    let ended = serve(&mut ward, &mut line, &timer, worker.as_ref());
    // Whatever the trouble: what nobody watches must not run.
    execute(&ward.close(), worker.as_ref());
    ended
}

/// Out of the reach of what ends the worker: its terminal, its process group, its folder.
fn isolate() {
    // An error says that it leads a session already.
    let _leader = setsid();
    // One that is blocked for good is never delivered; SIGKILL and SIGSTOP cannot be blocked.
    let _same = SigSet::all().thread_block();
    let _shown = prctl::set_name(c"isc-warden");
    let _folder = std::env::set_current_dir("/");
}

/// A hold on the worker that can only ever mean this one process.
fn worker() -> Option<OwnedFd> {
    let parent = getppid();
    let hold = pidfd_open(
        rustix::process::Pid::from_raw(parent.as_raw())?,
        PidfdFlags::empty(),
    );
    hold.ok().filter(|_| getppid() == parent)
}

/// Serves until the socket closes.
fn serve(
    ward: &mut Ward,
    line: &mut Line,
    timer: &TimerFd,
    worker: Option<&OwnedFd>,
) -> io::Result<()> {
    loop {
        arm(timer, ward.due())?;
        wait(line, timer)?;
        // What the worker said goes first: a renewal or a removal that is here counts.
        let (orders, open) = line.read()?;
        for order in orders {
            let answer = ward.take(order, clock::now());
            line.say(answer)?;
        }
        if !open {
            return Ok(());
        }
        execute(&ward.judge(clock::now()), worker);
    }
}

fn arm(timer: &TimerFd, due: Option<Duration>) -> io::Result<()> {
    let Some(due) = due else {
        return Ok(timer.unset()?);
    };
    // Zero would switch the timer off.
    let at = TimeSpec::from_duration(due.max(Duration::from_nanos(1)));
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME;
    Ok(timer.set(Expiration::OneShot(at), flags)?)
}

/// Until the worker says something or the timer is due. Setting the timer anew takes its mark away.
fn wait(line: &Line, timer: &TimerFd) -> io::Result<()> {
    let mut fds = [
        PollFd::new(line.stream.as_fd(), PollFlags::POLLIN),
        PollFd::new(timer.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn execute(doomed: &Doomed, worker: Option<&OwnedFd>) {
    for group in &doomed.groups {
        // An error says that nobody is left in it.
        let _nobody = killpg(Pid::from_raw(group.get()), Signal::SIGKILL);
    }
    if doomed.worker
        && let Some(worker) = worker
    {
        let _gone = pidfd_send_signal(worker, rustix::process::Signal::KILL);
    }
    strays::kill(&doomed.marks);
}

// === impl Line ===

impl Line {
    /// From the standard input, which must be a socket.
    fn open() -> io::Result<Self> {
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        stream.set_nonblocking(true)?;
        let begun = Vec::new();
        Ok(Self { stream, begun })
    }

    /// Never waits: a worker that is so far behind with reading is not to be waited for.
    fn say(&mut self, answer: Answer) -> io::Result<()> {
        let text = format!("{}\n", answer.as_str());
        self.stream.write_all(text.as_bytes())
    }

    /// All that is there, and whether more can come.
    fn read(&mut self) -> io::Result<(Vec<Order>, bool)> {
        let mut chunk = [0; LINE_MAX];
        let mut orders = Vec::new();
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok((orders, false)),
                Ok(count) => self.split(&chunk[..count], &mut orders)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok((orders, true));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok((orders, false));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn split(&mut self, bytes: &[u8], orders: &mut Vec<Order>) -> io::Result<()> {
        self.begun.extend_from_slice(bytes);
        let junk = || io::Error::other("a line that is no order");
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            let text = std::str::from_utf8(&line[..end]).map_err(|_| junk())?;
            orders.push(Order::parse(text).ok_or_else(junk)?);
        }
        if self.begun.len() > LINE_MAX {
            return Err(junk());
        }
        Ok(())
    }
}
