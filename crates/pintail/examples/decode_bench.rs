//! How many packets one core decodes in a second, and with how many allocations: HEP3 decoding and SIP
//! extraction of a 738-byte INVITE with SDP. Prints one JSON line.
//!
//! `cargo run --release -p pintail-capture --example decode_bench [SECONDS]`

#![allow(unsafe_code)] // Only to count allocations; see the SAFETY comment.
#![allow(clippy::print_stdout)] // The line is what the program is for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pintail_capture::sip::{HeaderNames, messages};
use pintail_hep::{CaptureTime, Packet, TimeWindow, decode, encode};

const INVITE: &[u8] = include_bytes!("../../../fixtures/sip/invite_738.txt");
/// How many packets are decoded between two looks at the clock.
const BATCH: u64 = 10_000;
/// How many packets lie in memory, so that not every one is read from the innermost cache.
const PACKETS: usize = 512;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system allocator unchanged, so its guarantees are ours; counting touches
// no memory that is handed out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `pointer` came from `System` with this layout, and the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(3.0), |text| text.parse())?;
    let frames = frames()?;
    let wanted = HeaderNames::new(["x-cid"]);
    let window = TimeWindow::ANY;

    // The first round warms caches and branch predictors, and is not counted.
    decode_batch(&frames, window, &wanted, BATCH)?;

    let limit = Duration::from_secs_f64(seconds);
    let allocations_before = ALLOCATIONS.load(Ordering::Relaxed);
    let start = Instant::now();
    let mut packets = 0_u64;
    while start.elapsed() < limit {
        decode_batch(&frames, window, &wanted, BATCH)?;
        packets += BATCH;
    }
    let elapsed = start.elapsed().as_secs_f64();
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - allocations_before;
    println!(
        "{{\"bench\":\"decode\",\"payload_bytes\":{},\"frame_bytes\":{},\"packets\":{packets},\"seconds\":{elapsed:.3},\
         \"packets_per_second\":{:.0},\"nanoseconds_per_packet\":{:.1},\"allocations_per_packet\":{:.3}}}",
        INVITE.len(),
        frames[0].len(),
        packets as f64 / elapsed,
        elapsed * 1e9 / packets as f64,
        allocations as f64 / packets as f64,
    );
    Ok(())
}

/// The INVITE in the chunks that an agent with a key and a name sends, at different capture times.
fn frames() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut frames = Vec::with_capacity(PACKETS);
    for index in 0..PACKETS as u32 {
        let packet = Packet {
            family: Some(2),
            ip_protocol: Some(17),
            source: Some("198.51.100.17".parse()?),
            destination: Some("203.0.113.5".parse()?),
            source_port: Some(5060),
            destination_port: Some(5060),
            time: Some(CaptureTime { seconds: 1_795_000_000 + index, micros: index }),
            protocol_type: Some(1),
            capture_id: Some(2001),
            auth_key: Some(b"myHepKey"),
            payload: INVITE,
            ..Packet::default()
        };
        let mut bytes = Vec::new();
        encode(&packet, &mut bytes)?;
        frames.push(bytes);
    }
    Ok(frames)
}

fn decode_batch(
    frames: &[Vec<u8>],
    window: TimeWindow,
    wanted: &HeaderNames,
    count: u64,
) -> Result<(), Box<dyn Error>> {
    for frame in frames.iter().cycle().take(usize::try_from(count)?) {
        let packet = decode(black_box(frame), window)?;
        for message in messages(packet.payload, wanted) {
            let message = message.map_err(|error| error.reason())?;
            black_box(&message);
        }
        black_box(&packet);
    }
    Ok(())
}
