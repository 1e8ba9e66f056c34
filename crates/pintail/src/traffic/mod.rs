//! HEP traffic to send: generated calls, or what a capture file holds.
//!
//! A [`FrameSource`] yields HEP packets in order of their times, a [`Sender`] hands them to a server over UDP,
//! TCP or HTTP, and [`pump`](load::pump) joins the two at a [`Pace`]. Everything here blocks: run it on a
//! thread of its own.

pub(crate) mod batch;
pub(crate) mod dialogs;
pub(crate) mod load;
pub(crate) mod pace;
pub(crate) mod replay;
pub(crate) mod sender;

pub(crate) use batch::{FrameBatch, FrameSource, MAX_FRAME_BYTES};
pub(crate) use dialogs::{Generator, GeneratorOptions, Mix};
pub(crate) use load::{GenerateOptions, Limits, ReplayOptions, generate, replay};
pub(crate) use pace::Pace;
pub(crate) use replay::ReplayFormat;
pub(crate) use sender::{Progress, SendOptions, Sender, Transport};
