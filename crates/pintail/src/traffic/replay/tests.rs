use std::borrow::Cow;
use std::time::Duration;

use etherparse::PacketBuilder;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};

use super::network::{Content, recognise};
use super::*;
use crate::traffic::FrameBatch;

const INVITE: &[u8] = b"INVITE sip:bob@example.org SIP/2.0\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\n\r\n";
/// An empty receiver report.
const RTCP: &[u8] = &[0x80, 201, 0, 1, 0, 0, 0, 1];
/// 2026-11-20 10:10:52.430000
const TIME: Micros = 1_795_169_452_430_000;

fn ethernet(payload: &[u8]) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(5060, 5070);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).unwrap();
    bytes
}

fn hep(payload: &[u8]) -> Vec<u8> {
    let packet = Packet { payload, protocol_type: Some(1), ..Packet::default() };
    let mut bytes = Vec::new();
    pintail_hep::encode(&packet, &mut bytes).unwrap();
    bytes
}

fn pcap(link: DataLink, packets: &[Vec<u8>]) -> Vec<u8> {
    let header = PcapHeader { datalink: link, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (index, packet) in packets.iter().enumerate() {
        let time = Duration::from_micros(u64::try_from(TIME).unwrap() + index as u64);
        writer.write_packet(&PcapPacket::new(time, u32::try_from(packet.len()).unwrap(), packet)).unwrap();
    }
    writer.into_writer()
}

fn pcapng(resolution: Option<u8>, units: u64, packet: &[u8]) -> Vec<u8> {
    let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
    let options = resolution.map(InterfaceDescriptionOption::IfTsResol).into_iter().collect();
    let interface = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0, options };
    writer.write_pcapng_block(interface).unwrap();
    let packet = EnhancedPacketBlock {
        interface_id: 0,
        timestamp: Duration::from_nanos(units),
        original_len: u32::try_from(packet.len()).unwrap(),
        data: Cow::Borrowed(packet),
        options: Vec::new(),
    };
    writer.write_pcapng_block(packet).unwrap();
    writer.into_inner()
}

/// Replays files with this content; gives the packets, their times, and how many were skipped.
fn replayed(files: &[&[u8]], as_version_3: bool) -> Result<(Vec<Vec<u8>>, Vec<Micros>, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..files.len()).map(|index| folder.path().join(index.to_string())).collect();
    for (path, content) in paths.iter().zip(files) {
        std::fs::write(path, content).unwrap();
    }
    let progress = Arc::new(Progress::default());
    let format = ReplayFormat { as_version_3, capture_id: 7, auth_key: Some("key".to_owned()) };
    let mut source = Replay::new(paths, format, Arc::clone(&progress));
    let (mut batch, mut times) = (FrameBatch::default(), Vec::new());
    while let Some(time) = source.next_time()? {
        times.push(time);
        batch.pull(&mut source)?;
    }
    Ok((batch.frames().map(<[u8]>::to_vec).collect(), times, progress.skipped()))
}

#[test]
fn sip_rtcp_and_hep_come_out_of_a_pcap() {
    let captured = hep(INVITE);
    let packets =
        [ethernet(INVITE), ethernet(b"unknown"), ethernet(RTCP), ethernet(&captured), vec![1, 2, 3]];
    let (frames, times, skipped) = replayed(&[&pcap(DataLink::ETHERNET, &packets)], false).unwrap();
    assert_eq!((frames.len(), skipped), (3, 2));
    assert_eq!(times, [TIME, TIME + 2, TIME + 3]);
    assert_eq!(frames[2], captured);
    for (frame, payload, protocol_type, time) in
        [(&frames[0], INVITE, 1, TIME), (&frames[1], RTCP, 5, TIME + 2)]
    {
        let packet = pintail_hep::decode(frame, TimeWindow::ANY).unwrap();
        assert_eq!(packet.payload, payload);
        assert_eq!(packet.protocol_type, Some(protocol_type));
        assert_eq!(packet.source.unwrap().to_string(), "192.0.2.1");
        assert_eq!(packet.destination.unwrap().to_string(), "192.0.2.2");
        assert_eq!((packet.source_port, packet.destination_port), (Some(5060), Some(5070)));
        assert_eq!((packet.capture_id, packet.auth_key), (Some(7), Some(b"key".as_slice())));
        assert_eq!(frame_time(frame), Some(time));
    }
}

#[test]
fn every_link_type_is_unwrapped() {
    let ip = ethernet(INVITE)[14..].to_vec();
    let with = |header: &[u8]| [header, ip.as_slice()].concat();
    let sll = [&[0, 0, 0, 1, 0, 6, 1, 1, 1, 1, 1, 1, 0, 0][..], &[8, 0]].concat();
    let sll2 = [&[8, 0][..], &[0; 18]].concat();
    for (link, packet) in [
        (DataLink::ETHERNET, ethernet(INVITE)),
        (DataLink::LINUX_SLL, with(&sll)),
        (DataLink::LINUX_SLL2, with(&sll2)),
        (DataLink::RAW, ip.clone()),
        (DataLink::NULL, with(&[2, 0, 0, 0])),
    ] {
        let (frames, _, skipped) = replayed(&[&pcap(link, &[packet])], false).unwrap();
        assert_eq!((frames.len(), skipped), (1, 0), "{link:?}");
    }
}

#[test]
fn fragments_are_put_together() {
    let payload = [INVITE, &[b'x'; 3000]].concat();
    let whole = ethernet(&payload);
    let (link_header, header, rest) = (&whole[..14], &whole[14..34], &whole[34..]);
    let fragment = |offset: usize, bytes: &[u8], more: bool| {
        let mut header = header.to_vec();
        header[2..4].copy_from_slice(&u16::try_from(20 + bytes.len()).unwrap().to_be_bytes());
        let flags = u16::try_from(offset / 8).unwrap() | if more { 0x2000 } else { 0 };
        header[6..8].copy_from_slice(&flags.to_be_bytes());
        [link_header, &header, bytes].concat()
    };
    let packets = [
        fragment(0, &rest[..1480], true),
        fragment(2960, &rest[2960..], false),
        fragment(1480, &rest[1480..2960], true),
    ];
    let (frames, ..) = replayed(&[&pcap(DataLink::ETHERNET, &packets)], false).unwrap();
    assert_eq!(frames.len(), 1);
    assert_eq!(pintail_hep::decode(&frames[0], TimeWindow::ANY).unwrap().payload, payload);
}

#[test]
fn pcapng_times_follow_the_resolution_of_the_interface() {
    let micros = u64::try_from(TIME).unwrap();
    let seconds = micros / 1_000_000;
    for (resolution, units, expected) in [
        (None, micros, TIME),
        (Some(6), micros, TIME),
        (Some(9), micros * 1000, TIME),
        (Some(3), micros / 1000, TIME),
        (Some(0x80 | 10), seconds << 10, TIME / 1_000_000 * 1_000_000),
    ] {
        let (frames, times, _) = replayed(&[&pcapng(resolution, units, &ethernet(INVITE))], false).unwrap();
        assert_eq!((frames.len(), times), (1, vec![expected]), "{resolution:?}");
    }
}

#[test]
fn hep_files_hold_packets_back_to_back_or_one_datagram() {
    let stream = [hep(b"one"), hep(b"two")].concat();
    // Version 1: header of 16 bytes, then the payload.
    let version_1 = [&[1, 16, 2, 17, 19, 207, 19, 216, 127, 0, 0, 1, 127, 0, 0, 2][..], INVITE].concat();
    let (frames, ..) = replayed(&[&stream, &version_1], false).unwrap();
    assert_eq!(frames, [hep(b"one"), hep(b"two"), version_1.clone()]);
    let (frames, ..) = replayed(&[&version_1], true).unwrap();
    let packet = pintail_hep::decode(&frames[0], TimeWindow::ANY).unwrap();
    assert_eq!((packet.version, packet.payload, packet.source_port), (Version::V3, INVITE, Some(5071)));
}

#[test]
fn broken_files_are_named_with_the_place() {
    let one = hep(b"one").len();
    let two = [hep(b"one"), hep(b"two")].concat();
    let cut = &two[..two.len() - 1];
    let then_foreign = [hep(b"one"), b"garbage".to_vec()].concat();
    for (content, words) in [
        (cut, format!("ends within the packet at byte {one}")),
        (&then_foreign, format!("no HEP packet starts at byte {one}")),
        (b"PK\x03\x04", "is neither a network capture (pcap, pcapng) nor HEP".to_owned()),
        (b"", "is neither a network capture (pcap, pcapng) nor HEP".to_owned()),
    ] {
        let error = replayed(&[content], false).unwrap_err();
        assert!(error.message().ends_with(&words), "{error}");
    }
}

#[test]
fn payloads_are_recognised_by_their_first_bytes() {
    for (payload, expected) in [
        (INVITE, Some(Content::Sip)),
        (b"SIP/2.0 200 OK\r\n".as_slice(), Some(Content::Sip)),
        (b"sip/2.0 200 OK\r\n", Some(Content::Sip)),
        (b"SUBSCRIBE sip:x sip/2.0\n", Some(Content::Sip)),
        (b"GET / HTTP/1.1\r\n", None),
        (b"\r\n\r\n", None),
        (b"", None),
        (RTCP, Some(Content::Rtcp)),
        (&RTCP[..7], None),
        // RTP: version 2, payload type 8.
        (&[0x80, 8, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1], None),
        (&hep(b"x"), Some(Content::Hep)),
    ] {
        assert_eq!(recognise(payload), expected, "{:?}", String::from_utf8_lossy(payload));
    }
}
