//! What one packet costs on one core from bytes to rows: HEP3 decoding, SIP extraction, the journal's copy
//! and checksum, and the Arrow columns, finished into batches. Packets of 738-byte payloads from one dialog
//! after another, with Call-IDs, addresses and times that vary. Prints one JSON line.
//!
//! `cargo run --release -p pintail-capture --example rows_bench [SECONDS]`

#![allow(clippy::print_stdout)] // The line is what the program is for.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pintail_capture::CaptureOptions;
use pintail_capture::measure::RowPath;
use pintail_hep::{CaptureTime, Packet, encode};

const INVITE: &str = include_str!("../../../fixtures/sip/invite_738.txt");
/// The Call-ID's value in the file is replaced, so that rows differ.
const CALL_ID_HEADER: &str = "Call-ID: ";
/// Packets that lie in memory, so that not every one is read from the innermost cache.
const PACKETS: u32 = 4096;
/// Packets of one batch, as a receiver takes them.
const BATCH: usize = 64;
/// 2026-11-20 10:30:00 UTC.
const NOW: i64 = 1_795_170_600_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(3.0), |text| text.parse())?;
    let packets = packets()?;
    let batches: Vec<Vec<&[u8]>> =
        packets.chunks(BATCH).map(|batch| batch.iter().map(Vec::as_slice).collect()).collect();
    let mut path = RowPath::new(CaptureOptions::default());
    // The first round warms caches and gives the columns their room; it is not counted.
    run(&mut path, &batches, Duration::ZERO)?;
    let (count, rows, elapsed) = run(&mut path, &batches, Duration::from_secs_f64(seconds))?;
    let nanoseconds = elapsed.as_secs_f64() * 1e9 / f64::from(count);
    println!(
        "{{\"bench\":\"rows\",\"payload_bytes\":{},\"frame_bytes\":{},\"packets\":{count},\"rows_finished\":{rows},\
         \"seconds\":{:.3},\"packets_per_second\":{:.0},\"nanoseconds_per_packet\":{nanoseconds:.1}}}",
        INVITE.len(),
        packets[0].len(),
        elapsed.as_secs_f64(),
        1e9 / nanoseconds,
    );
    Ok(())
}

/// Takes all packets, again and again, for at least this long.
fn run(
    path: &mut RowPath,
    batches: &[Vec<&[u8]>],
    at_least: Duration,
) -> Result<(u32, usize, Duration), Box<dyn Error>> {
    let peer = SocketAddr::from(([127, 0, 0, 1], 9060));
    let started = Instant::now();
    let (mut count, mut rows) = (0, 0);
    loop {
        for batch in batches {
            rows += path.take(batch, NOW + i64::from(count), peer)?;
            count += u32::try_from(batch.len())?;
        }
        let elapsed = started.elapsed();
        if elapsed >= at_least {
            return Ok((count, rows, elapsed));
        }
    }
}

fn packets() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let (head, rest) = INVITE.split_once(CALL_ID_HEADER).ok_or("the message has no Call-ID")?;
    let (call_id, tail) = rest.split_once("\r\n").ok_or("the Call-ID has no end")?;
    let mut packets = Vec::new();
    for number in 0..PACKETS {
        // As long as the original, so that the message keeps its length.
        let unique: String = format!("{number:08x}").chars().chain(call_id.chars().skip(8)).collect();
        let message = format!("{head}{CALL_ID_HEADER}{unique}\r\n{tail}");
        let [_, high, middle, low] = number.to_be_bytes();
        let packet = Packet {
            family: Some(2),
            ip_protocol: Some(17),
            source: Some([10, high, middle, low].into()),
            destination: Some([192, 0, 2, 1].into()),
            source_port: Some(5060),
            destination_port: Some(5060),
            time: Some(CaptureTime { seconds: u32::try_from(NOW / 1_000_000)?, micros: number }),
            protocol_type: Some(1),
            capture_id: Some(2001),
            payload: message.as_bytes(),
            ..Packet::default()
        };
        let mut bytes = Vec::new();
        encode(&packet, &mut bytes)?;
        packets.push(bytes);
    }
    Ok(packets)
}
