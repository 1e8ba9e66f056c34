//! How often the server dies, where, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use pintail_types::FaultPoint;

use crate::life::{Death, Died};

/// Kills of the short form: with every second one at a fault point, each point is met.
const KILLS: u64 = 2 * FaultPoint::ALL.len() as u64 + 10;

/// How often a point is passed before it is deadly, at most.
pub(crate) const PASSES: u64 = 4;

/// The most bodies that are acknowledged before a kill at a random instant.
const BODIES: u64 = 40;

/// The most calls of maintenance that succeed before such a kill.
const CALLS: u64 = 12;

/// Deaths between two lines about them.
const PROGRESS: u64 = 25;

/// What is to be done: `PINTAIL_CRASH_KILLS`, `_SEED`, `_POINT` and `_MINUTES` say so.
#[derive(Debug)]
pub(crate) struct Plan {
    kills: u64,
    seed: u64,
    until: Option<Instant>,
    points: Vec<(FaultPoint, &'static str)>,
    only_points: bool,
    done: u64,
    lives: u64,
    random: fastrand::Rng,
}

impl Plan {
    pub(crate) fn from_environment() -> Self {
        let number = |name| variable(name).map(|text| text.parse::<u64>().expect("a number"));
        let seed = number("SEED").unwrap_or(7);
        let minutes = number("MINUTES");
        let only = variable("POINT");
        let mut points: Vec<_> = FaultPoint::ALL.into();
        if let Some(only) = &only {
            points.retain(|(_, name)| name == only);
            assert!(!points.is_empty(), "there is no fault point {only}");
        }
        if !cfg!(debug_assertions) {
            assert!(only.is_none(), "a release build has no fault points");
            points.clear();
        }
        Self {
            kills: number("KILLS").unwrap_or(if minutes.is_some() { u64::MAX } else { KILLS }),
            seed,
            until: minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes)),
            points,
            only_points: only.is_some(),
            done: 0,
            lives: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done >= self.kills || self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// The number of the next life.
    pub(crate) const fn new_life(&mut self) -> u64 {
        self.lives += 1;
        self.lives
    }

    /// How the next life ends: every second one at a point, one after the other.
    pub(crate) fn next_death(&mut self) -> Option<Death> {
        if self.is_done() {
            return None;
        }
        self.done += 1;
        if self.points.is_empty() || !self.only_points && self.done.is_multiple_of(2) {
            return Some(match self.random.bool() {
                true => Death::AfterBodies(self.random.u64(1..=BODIES)),
                false => Death::AfterMaintenance(self.random.u64(1..=CALLS)),
            });
        }
        let turn = if self.only_points { self.done } else { self.done / 2 };
        let (_, point) = self.points[usize::try_from(turn).unwrap() % self.points.len()];
        let passes = self.random.u64(1..=PASSES);
        match Death::AtPoint(point, 1) {
            // It is met once, on what the death before has left.
            prepared if prepared.prepared_by().is_some() => Some(prepared),
            _ => Some(Death::AtPoint(point, passes)),
        }
    }

    pub(crate) fn tell_progress(&self) {
        if self.done.is_multiple_of(PROGRESS) {
            println!("{} deaths", self.done);
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(format!("PINTAIL_CRASH_{name}")).ok().filter(|text| !text.is_empty())
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, {} fault points, ", self.seed, self.points.len())?;
        match self.kills {
            u64::MAX => f.write_str("until the time is over"),
            kills => write!(f, "{kills} kills at most"),
        }
    }
}

/// How often each kind of death was tried, and how often it came.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    points: BTreeMap<&'static str, (u64, u64)>,
    while_starting: u64,
    at_random: u64,
    acknowledged: u64,
    maintained: u64,
}

impl Tally {
    pub(crate) fn note(&mut self, death: Death, died: Died) {
        self.acknowledged += died.acknowledged;
        self.maintained += died.maintained;
        self.while_starting += u64::from(died.while_starting);
        let Death::AtPoint(point, _) = death else {
            self.at_random += 1;
            return;
        };
        let (armed, hit) = self.points.entry(point).or_default();
        *armed += 1;
        *hit += u64::from(died.at_point);
    }

    /// Every point that is in the plan was met, and the load was what it is meant to be.
    pub(crate) fn assert_complete(&self, plan: &Plan) {
        if plan.done >= KILLS {
            for (_, name) in &plan.points {
                assert!(self.points.get(name).is_some_and(|(_, hit)| *hit > 0), "{name} was never hit");
            }
        }
        assert!(plan.done < KILLS || self.acknowledged.min(self.maintained) >= plan.done, "{self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| fault point | armed | hit |\n|---|---|---|")?;
        for (name, (armed, hit)) in &self.points {
            writeln!(f, "| {name} | {armed} | {hit} |")?;
        }
        writeln!(f, "| at random | {0} | {0} |", self.at_random)?;
        let Self { while_starting, acknowledged, maintained, .. } = self;
        write!(
            f,
            "{while_starting} of them before it was ready; {acknowledged} packets acknowledged, {maintained} steps of maintenance"
        )
    }
}
