//! One run from its seed to its report.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use anyhow::Result;

use super::{
    aftermath,
    check::{self, Evidence},
    clock,
    creator::{Callers, Made},
    faults::Schedule,
    ledger,
    mix::{Ability, Mix},
    observer::{self, Observer, Seen},
    plan::{Fate, Plan, Size},
    report::Report,
    world::{LOST_MAX, Shape, World},
    wreck::Wrecker,
};

/// When nothing has changed for that long, nothing will.
const STILL: Duration = Duration::from_secs(60);
const SAY_EVERY: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(500);

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The same seed makes the same plan and the same schedule.
    pub seed: u64,
    /// About so many requests.
    pub requests: usize,
    /// In so many workspaces.
    pub workspaces: usize,
    /// Made over that long.
    pub span: Duration,
    /// Workers.
    pub workers: usize,
    /// Jobs that each runs at once.
    pub slots: u32,
    /// A fault about that often; none without.
    pub gap: Option<Duration>,
    /// Things go on breaking that long after the last request was made.
    pub aftermath: Duration,
    /// The servers are frozen and cut off, but not killed.
    pub mild: bool,
    /// What the product is not asked for.
    pub missing: Vec<Ability>,
    /// The folder of everything; it must not be there.
    pub dir: PathBuf,
}

/// Runs it.
///
/// # Errors
/// When the surroundings could not be made or did not hold. What the product does wrong is in the report.
pub async fn run(options: &Options) -> Result<Report> {
    std::fs::create_dir_all(&options.dir)?;
    let dir = options.dir.canonicalize()?;
    let mix = Mix::without(&options.missing);
    let size = Size {
        requests: options.requests,
        workspaces: options.workspaces,
        span: options.span,
    };
    let plan = Plan::new(options.seed, &size, &mix);
    println!(
        "seed {}: {} requests of {} families, in {} workspaces, over {} s",
        options.seed,
        plan.asks().count(),
        plan.families.len(),
        options.workspaces,
        options.span.as_secs()
    );
    let shape = Shape {
        workspaces: options.workspaces,
        workers: options.workers,
        slots: options.slots,
        retries: mix.has(Ability::Retries),
        limits: mix.has(Ability::Limits),
    };
    let begun = clock::now();
    let mut world = World::start(&dir, shape).await?;
    println!(
        "all is up after {:.1} s",
        clock::now().saturating_sub(begun).as_secs_f32()
    );
    let run = Run {
        options,
        plan: &plan,
        observer: Observer::start(&world.env, &world.teams).await?,
        start: clock::now(),
    };
    run.go(&mut world).await
}

struct Run<'a> {
    options: &'a Options,
    plan: &'a Plan,
    observer: Observer,
    start: Duration,
}

// === impl Run ===

impl Run<'_> {
    async fn go(&self, world: &mut World) -> Result<Report> {
        let callers = Callers::start(self.plan, &world.teams, self.start);
        let mut wrecker = Wrecker::new(self.start);
        self.break_things(world, &mut wrecker, &callers).await?;
        let made = callers.finish().await?;
        self.wait_until_quiet(world, &mut wrecker, &made).await?;
        let seconds = self.since(clock::now());
        let queues = aftermath::emptied(world).await?;
        let present = observer::list(&world.env, &world.teams).await?;
        let mut leaks = aftermath::jobs(&world.dir);
        let known = leaks.clone();
        let crashes = [wrecker.crashes, aftermath::end(world).await].concat();
        let left_over = aftermath::left_over(world).into_iter();
        leaks.extend(left_over.filter(|process| !known.contains(process)));
        let seen = self.observer.look(Seen::clone);
        let evidence = Evidence {
            plan: self.plan,
            made: &made,
            seen: &seen.requests,
            present: &present,
            ledger: &ledger::read(&world.dir.join("isc"))?,
            faults: &wrecker.happened,
            start: clock::nanos(self.start),
            lost_max: LOST_MAX,
            queues: &queues,
            leaks: &leaks,
            crashes: &crashes,
        };
        let found = check::check(&evidence);
        Ok(Report::new(
            self.options.seed,
            seconds,
            seen.gaps,
            &evidence,
            found,
        ))
    }

    /// Faults until some time after the last request was made.
    async fn break_things(
        &self,
        world: &mut World,
        wrecker: &mut Wrecker,
        callers: &Callers,
    ) -> Result<()> {
        let (counter, planned) = (callers.counter(), callers.planned);
        let aftermath = self.options.aftermath;
        let made = move || counter.load(std::sync::atomic::Ordering::Relaxed) >= planned;
        let last = std::cell::Cell::new(None);
        let done = || {
            if made() && last.get().is_none() {
                last.set(Some(clock::now()));
            }
            last.get()
                .is_some_and(|last| clock::now() > last + aftermath)
        };
        let Options {
            seed,
            workers,
            mild,
            ..
        } = *self.options;
        let schedule = Schedule::new(seed, workers, self.options.gap.unwrap_or(STILL), mild);
        let schedule = schedule.take_while(|_| self.options.gap.is_some());
        let broken = async {
            wrecker.run(world, schedule, done).await?;
            while !made() {
                wrecker.tick(world).await?;
                tokio::time::sleep(PAUSE).await;
            }
            Ok(())
        };
        tokio::select! {
            result = broken => result,
            () = self.tell_of(callers) => Ok(()),
        }
    }

    /// Says how far the callers are, for ever.
    async fn tell_of(&self, callers: &Callers) {
        loop {
            self.tell(&format!("{} of {} steps", callers.done(), callers.planned));
            tokio::time::sleep(SAY_EVERY).await;
        }
    }

    /// Until every request is where it should be, or nothing changes any more.
    async fn wait_until_quiet(
        &self,
        world: &mut World,
        wrecker: &mut Wrecker,
        made: &[Made],
    ) -> Result<()> {
        let fates: HashMap<_, _> = self
            .plan
            .asks()
            .map(|(family, ask)| ((family.workspace, ask.name.as_str()), ask.expect.fate))
            .collect();
        let healed = clock::now();
        let mut said = Duration::ZERO;
        loop {
            wrecker.tick(world).await?;
            let (open, changed) = self.observer.look(|seen| {
                let open = made.iter().filter(|made| {
                    let fate = fates.get(&(made.workspace, made.name.as_str()));
                    !settled(seen, made, fate.copied().unwrap_or_default())
                });
                (open.count(), seen.changed)
            });
            if open == 0 || clock::now() > changed.max(healed) + STILL {
                self.tell(&format!("{open} requests are open"));
                return Ok(());
            }
            if clock::now() > said + SAY_EVERY {
                said = clock::now();
                self.tell(&format!("all is healed, {open} requests are open"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn tell(&self, what: &str) {
        let (known, ended) = self.observer.look(|seen| {
            let ended = seen.requests.values().filter(|s| s.end.is_some() || s.gone);
            (seen.requests.len(), ended.count())
        });
        let at = self.since(clock::now());
        println!("{at:7.1} s  {what}; {known} requests seen, {ended} ended or gone");
    }

    fn since(&self, moment: Duration) -> f64 {
        moment.saturating_sub(self.start).as_secs_f64()
    }
}

/// Whether a request is where it should be in the end. One that was made and deleted while the watches were
/// down was never seen.
fn settled(seen: &Seen, made: &Made, fate: Fate) -> bool {
    let sight = made.uid.as_ref().and_then(|uid| seen.requests.get(uid));
    match (sight, fate) {
        (Some(sight), Fate::Stays) => sight.end.is_some() || sight.gone,
        (Some(sight), Fate::Deleted | Fate::Expires) => sight.gone,
        (None, fate) => fate != Fate::Stays || made.uid.is_none(),
    }
}
