//! What happens in a dialog, and how often each kind of dialog does.

use fastrand::Rng;
use pintail_types::Micros;

use super::messages::Message;

/// How long a step waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Delay {
    /// A program answers: 0.2 to 5 ms.
    Machine,
    /// There and back over a network: 5 to 120 ms.
    Network,
    /// A route is looked for: 0.1 to 2 s.
    Routing,
    /// A telephone rings: 1 to 20 s.
    Ringing,
    /// Two people talk.
    Talk,
}

impl Delay {
    /// A time in microseconds, drawn from `random`. Talking takes `talk_seconds` on average.
    pub(super) fn draw(self, random: &mut Rng, talk_seconds: f64) -> Micros {
        let seconds = match self {
            Self::Machine => 0.000_2 + 0.004_8 * random.f64(),
            Self::Network => 0.005 + 0.115 * random.f64() * random.f64(),
            Self::Routing => 0.1 + 1.9 * random.f64() * random.f64(),
            Self::Ringing => 1.0 + 19.0 * random.f64() * random.f64(),
            // Exponential, as telephone calls are, and never shorter than a second.
            Self::Talk => 1.0 + exponential(random, (talk_seconds - 1.0).max(0.1)),
        };
        micros(seconds)
    }
}

/// An exponentially distributed number with this mean.
pub(super) fn exponential(random: &mut Rng, mean: f64) -> f64 {
    -mean * (1.0 - random.f64()).ln()
}

/// Seconds as whole microseconds.
#[expect(clippy::cast_possible_truncation, reason = "a float to integer cast saturates")]
pub(super) fn micros(seconds: f64) -> Micros {
    (seconds * 1e6) as Micros
}

/// One message of a dialog and what is waited for before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) message: Message,
    pub(super) delay: Delay,
}

const fn step(delay: Delay, message: Message) -> Step {
    Step { message, delay }
}

/// A kind of dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    Answered,
    AnsweredAfterProgress,
    HungUpByCallee,
    Busy,
    NotFound,
    Unavailable,
    Cancelled,
    Registration,
    Options,
}

/// Kinds of call, each with its part in a hundred.
const CALLS: [(Scenario, u8); 7] = [
    (Scenario::Answered, 34),
    (Scenario::AnsweredAfterProgress, 16),
    (Scenario::HungUpByCallee, 24),
    (Scenario::Busy, 8),
    (Scenario::NotFound, 5),
    (Scenario::Unavailable, 3),
    (Scenario::Cancelled, 10),
];

impl Scenario {
    /// A kind of call, drawn from `random`.
    pub(super) fn call(random: &mut Rng) -> Self {
        let mut drawn = random.u8(0..100);
        for (scenario, share) in CALLS {
            if drawn < share {
                return scenario;
            }
            drawn -= share;
        }
        Self::Answered
    }

    /// Its messages in order. The first one waits for nothing.
    pub(super) const fn steps(self) -> &'static [Step] {
        use Delay::{Machine, Network, Ringing, Routing, Talk};
        match self {
            Self::Answered => {
                const {
                    &[
                        step(Machine, Message::Invite),
                        step(Machine, Message::Trying),
                        step(Routing, Message::Ringing),
                        step(Ringing, Message::Answer),
                        step(Network, Message::Ack),
                        step(Talk, Message::Bye),
                        step(Network, Message::ByeOk),
                    ]
                }
            }
            Self::AnsweredAfterProgress => {
                const {
                    &[
                        step(Machine, Message::Invite),
                        step(Machine, Message::Trying),
                        step(Routing, Message::Progress),
                        step(Ringing, Message::Answer),
                        step(Network, Message::Ack),
                        step(Talk, Message::Bye),
                        step(Network, Message::ByeOk),
                    ]
                }
            }
            Self::HungUpByCallee => {
                const {
                    &[
                        step(Machine, Message::Invite),
                        step(Machine, Message::Trying),
                        step(Routing, Message::Ringing),
                        step(Ringing, Message::Answer),
                        step(Network, Message::Ack),
                        step(Talk, Message::CalleeBye),
                        step(Network, Message::CalleeByeOk),
                    ]
                }
            }
            Self::Busy => {
                const {
                    &[
                        step(Machine, Message::Invite),
                        step(Machine, Message::Trying),
                        step(Routing, Message::Busy),
                        step(Network, Message::FailureAck),
                    ]
                }
            }
            Self::NotFound => {
                const {
                    &[
                        step(Machine, Message::Invite),
                        step(Machine, Message::Trying),
                        step(Network, Message::NotFound),
                        step(Network, Message::FailureAck),
                    ]
                }
            }
            Self::Unavailable => {
                const {
                    &[
                        step(Machine, Message::Invite),
                        step(Machine, Message::Trying),
                        step(Routing, Message::Unavailable),
                        step(Network, Message::FailureAck),
                    ]
                }
            }
            Self::Cancelled => {
                const {
                    &[
                        step(Machine, Message::Invite),
                        step(Machine, Message::Trying),
                        step(Routing, Message::Ringing),
                        step(Ringing, Message::Cancel),
                        step(Network, Message::CancelOk),
                        step(Machine, Message::Terminated),
                        step(Network, Message::FailureAck),
                    ]
                }
            }
            Self::Registration => {
                const {
                    &[
                        step(Machine, Message::Register),
                        step(Network, Message::Challenge),
                        step(Network, Message::RegisterAgain),
                        step(Network, Message::RegisterOk),
                    ]
                }
            }
            Self::Options => const { &[step(Machine, Message::Options), step(Network, Message::OptionsOk)] },
        }
    }
}

/// The mean number of SIP messages of a call.
pub(super) fn messages_per_call() -> f64 {
    CALLS
        .iter()
        .map(|(scenario, share)| {
            let steps = u32::try_from(scenario.steps().len()).unwrap_or(u32::MAX);
            f64::from(steps) * f64::from(*share) / 100.0
        })
        .sum()
}
