//! The window against a model of a server farm, under a clock of its own.
//!
//! The farm serves `capacity` handshakes at once in `latency`; more of them share it, and take longer. Beyond
//! `drops_from` it drops new ones at random, the more the fuller it is, as sshd does between the first and the last
//! number of MaxStartups.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::window::Window;
use super::{Bounds, End};

const BOUNDS: Bounds = Bounds { least: 2, start: 32, most: 1024 };
const LATENCY: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
struct Farm {
    capacity: usize,
    drops_from: usize,
}

const UNTROUBLED: Farm = Farm { capacity: usize::MAX, drops_from: usize::MAX };

/// What was seen at one end.
struct Sample {
    at: Duration,
    limit: usize,
    end: End,
}

/// A window that is used as much as it allows.
struct Simulation {
    window: Window,
    rng: StdRng,
    now: Duration,
    /// When and how each attempt in progress will end.
    ends: BinaryHeap<Reverse<(Duration, u64, Duration)>>,
    begun: u64,
}

/// How long a dropped attempt takes, which marks it.
const DROPPED: Duration = Duration::ZERO;

impl Simulation {
    fn new(window: Window) -> Self {
        Self { window, rng: StdRng::seed_from_u64(7), now: Duration::ZERO, ends: BinaryHeap::new(), begun: 0 }
    }

    /// Ends `count` attempts on `farm`.
    fn run(&mut self, farm: Farm, count: usize) -> Vec<Sample> {
        (0..count).map(|_| self.next(farm)).collect()
    }

    fn next(&mut self, farm: Farm) -> Sample {
        while self.ends.len() < self.window.limit() {
            self.begin(farm);
        }
        let in_progress = self.ends.len();
        let Reverse((at, _, took)) = self.ends.pop().expect("the limit is at least 1");
        self.now = at;
        let end = if took == DROPPED { End::Dropped } else { End::Done(took) };
        self.window.note(end, in_progress);
        Sample { at, limit: self.window.limit(), end }
    }

    fn begin(&mut self, farm: Farm) {
        let busy = self.ends.len() + 1;
        let excess = busy.saturating_sub(farm.drops_from) as f64 / farm.drops_from as f64;
        let share = (busy as f64 / farm.capacity as f64).max(1.0);
        let took = LATENCY.mul_f64(share * self.rng.random_range(0.8..1.2));
        self.begun += 1;
        let (lasts, took) = if self.rng.random_bool(excess.min(1.0)) { (LATENCY / 4, DROPPED) } else { (took, took) };
        self.ends.push(Reverse((self.now + lasts, self.begun, took)));
    }
}

fn mean_limit(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.limit as f64).sum::<f64>() / samples.len() as f64
}

fn drops(samples: &[Sample]) -> usize {
    samples.iter().filter(|sample| sample.end == End::Dropped).count()
}

/// Successes a second.
fn rate(samples: &[Sample]) -> f64 {
    let time = samples.last().unwrap().at - samples[0].at;
    (samples.len() - drops(samples)) as f64 / time.as_secs_f64()
}

#[test]
fn an_untroubled_fleet_is_worked_on_by_hundreds_soon() {
    let mut simulation = Simulation::new(Window::new(BOUNDS));
    assert_eq!(simulation.run(UNTROUBLED, 480).last().unwrap().limit, 512);
    assert_eq!(simulation.run(UNTROUBLED, 256).last().unwrap().limit, 1024);
    assert!(simulation.run(UNTROUBLED, 9000).iter().all(|sample| sample.limit == 1024));
}

#[test]
fn a_farm_that_only_slows_down_is_kept_busy_and_not_flooded() {
    for capacity in [20, 100, 400] {
        let samples = Simulation::new(Window::new(BOUNDS)).run(Farm { capacity, ..UNTROUBLED }, 20_000);
        let late = &samples[10_000..];
        let limit = mean_limit(late) / capacity as f64;
        assert!((1.0..8.0).contains(&limit), "{capacity}: {limit}");
        let used = rate(late) * LATENCY.as_secs_f64() / capacity as f64;
        assert!(used > 0.9, "{capacity}: {used}");
    }
}

#[test]
fn a_farm_that_drops_is_used_close_to_where_it_begins_to() {
    for drops_from in [10, 60, 300] {
        let samples = Simulation::new(Window::new(BOUNDS)).run(Farm { drops_from, ..UNTROUBLED }, 20_000);
        let late = &samples[5_000..];
        let limit = mean_limit(late) / drops_from as f64;
        assert!((0.5..1.3).contains(&limit), "{drops_from}: {limit}");
        let dropped = drops(late) as f64 / late.len() as f64;
        assert!(dropped < 0.12, "{drops_from}: {dropped}");
    }
}

#[test]
fn the_limit_comes_to_the_same_from_below_and_from_above() {
    let farm = Farm { capacity: 150, drops_from: 150 };
    let [below, above] = [2, 1024].map(|limit| {
        let samples = Simulation::new(Window::starting_at(BOUNDS, limit)).run(farm, 20_000);
        mean_limit(&samples[10_000..])
    });
    assert!((below / above - 1.0).abs() < 0.1, "{below} {above}");
}

#[test]
fn trouble_that_passes_is_recovered_from() {
    let mut simulation = Simulation::new(Window::new(BOUNDS));
    simulation.run(UNTROUBLED, 5_000);
    let trouble = simulation.run(Farm { capacity: 20, drops_from: 20 }, 6_000);
    assert!(mean_limit(&trouble[3_000..]) < 40.0, "{}", mean_limit(&trouble[3_000..]));
    assert!(trouble.iter().all(|sample| sample.limit >= BOUNDS.least));
    let after = simulation.run(UNTROUBLED, 5_000);
    assert!(after.last().unwrap().limit > 256, "{}", after.last().unwrap().limit);
}

#[test]
fn hosts_farther_away_do_not_look_like_trouble_for_long() {
    let mut window = Window::new(BOUNDS);
    let mut feed = |millis, count| {
        (0..count).for_each(|_| {
            let _ = window.note(End::Done(Duration::from_millis(millis)), window.limit());
        });
        window.limit()
    };
    feed(20, 2_000);
    let least = (0..20_000).map(|_| feed(400, 1)).min();
    assert!(least >= Some(128), "{least:?}");
    assert!(feed(400, 1) >= 512);
}
