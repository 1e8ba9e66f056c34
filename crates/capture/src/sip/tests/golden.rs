//! The SIP in the captured packets reads as the README of `fixtures/hep` says.

use std::collections::HashMap;
use std::path::PathBuf;

use pintail_hep::framing::{Frame, next_frame};
use pintail_hep::{TimeWindow, decode};

use crate::sip::{HeaderNames, messages};

#[test]
fn captured_messages_read_as_their_rows_say() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/hep"));
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut headings: Vec<&str> = Vec::new();
    let mut stream = "";
    let mut checked = 0;
    for line in readme.lines() {
        let Some(inside) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            headings.clear();
            stream =
                line.strip_prefix('`').and_then(|rest| rest.split_once('`')).map_or(stream, |(file, _)| file);
            continue;
        };
        let cells: Vec<&str> = inside.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        if headings.is_empty() {
            headings = cells;
            continue;
        }
        let row: HashMap<&str, &str> = headings.iter().copied().zip(cells).collect();
        if row.get("Call-ID").is_none_or(|id| id.starts_with('-')) {
            continue;
        }
        let file = row.get("file").unwrap_or(&stream);
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let offset = row.get("offset").map_or(0, |offset| offset.parse().unwrap());
        let packet = match next_frame(&bytes[offset..]) {
            Frame::Complete(length) => &bytes[offset..offset + length],
            _ => &bytes[..],
        };
        check(packet, &row);
        checked += 1;
    }
    assert_eq!(checked, 33);
}

fn check(packet: &[u8], row: &HashMap<&str, &str>) {
    let payload = decode(packet, TimeWindow::ANY).unwrap().payload;
    let text = std::str::from_utf8(payload).unwrap();
    let names = HeaderNames::default();
    let all: Vec<_> = messages(payload, &names).map(Result::unwrap).collect();
    let [message] = &all[..] else {
        panic!("{} messages in {row:?}", all.len());
    };
    assert_eq!(message.call_id.as_deref(), Some(row["Call-ID"]), "{row:?}");
    assert_eq!(message.cseq.as_deref(), Some(row["CSeq"]), "{row:?}");
    assert_eq!(message.bytes, payload, "{row:?}");
    assert_eq!(message.len, payload.len(), "{row:?}");
    // SIPp and Kamailio write all lines in long form, so the topmost value can be cut out of the text.
    let vias: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("Via:")).collect();
    let values: Vec<&str> = vias.iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    assert_eq!(message.via.as_deref(), values.first().copied(), "{row:?}");
    assert!(values[0].ends_with(&format!("branch={}", message.branch.as_deref().unwrap())), "{row:?}");
    if let Some(counts) = row.get("Via lines/values") {
        assert_eq!(format!("{}/{}", vias.len(), values.len()), *counts, "{row:?}");
    }
    let start = row["payload starts with"];
    assert!(text.starts_with(start), "{row:?}");
    let method = row["CSeq"].split(' ').next_back();
    assert_eq!(message.effective_method(), method, "{row:?}");
    assert_eq!(message.response_code().is_some(), start.starts_with("SIP/2.0"), "{row:?}");
}
