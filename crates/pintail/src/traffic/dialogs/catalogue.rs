//! The agents, names, codecs and words that generated dialogs are made of.

use super::messages::Style;

/// A telephone, a program or a border controller.
#[derive(Debug)]
pub(super) struct Agent {
    /// Its `User-Agent` header.
    pub(super) name: &'static str,
    pub(super) style: Style,
    pub(super) call_id: CallIdForm,
}

/// How an agent makes up Call-IDs.
#[derive(Debug, Clone, Copy)]
pub(super) enum CallIdForm {
    /// `32 hexadecimal digits@host`
    HexAtHost,
    /// `8-4-4-4-12`
    Uuid,
    /// `number-number@host`
    NumbersAtHost,
    /// `0_number@host`
    Underscore,
    /// 22 characters without a host
    Short,
}

const fn agent(name: &'static str, style: Style, call_id: CallIdForm) -> Agent {
    Agent { name, style, call_id }
}

pub(super) static AGENTS: [Agent; 18] = [
    agent("Yealink SIP-T46S 66.86.0.15", Style::Desk, CallIdForm::Underscore),
    agent("Yealink SIP-T54W 96.86.0.70", Style::Desk, CallIdForm::Underscore),
    agent("Grandstream GXP2170 1.0.11.64", Style::Desk, CallIdForm::NumbersAtHost),
    agent("PolycomVVX-VVX_411-UA/6.4.3.5156", Style::Desk, CallIdForm::HexAtHost),
    agent("Cisco-CP8841-3PCC/11.3.7", Style::Desk, CallIdForm::HexAtHost),
    agent("snomD785/10.1.148.1", Style::Desk, CallIdForm::Short),
    agent("Fanvil X4U 2.12.1.3", Style::Desk, CallIdForm::NumbersAtHost),
    agent("AVM FRITZ!Box 7590 154.07.57", Style::Desk, CallIdForm::HexAtHost),
    agent("Asterisk PBX 18.20.2", Style::Trunk, CallIdForm::HexAtHost),
    agent("FreeSWITCH-mod_sofia/1.10.11", Style::Trunk, CallIdForm::Uuid),
    agent("kamailio (5.7.4 (x86_64/linux))", Style::Trunk, CallIdForm::NumbersAtHost),
    agent("OpenSIPS (3.4.4 (x86_64/linux))", Style::Trunk, CallIdForm::NumbersAtHost),
    agent("Mediant SW/v.7.40A.500.357", Style::Trunk, CallIdForm::NumbersAtHost),
    agent("3CXPhoneSystem 20.0.2.3", Style::Trunk, CallIdForm::Short),
    agent("LinphoneDesktop/5.2.4 (belle-sip/5.3.38)", Style::Soft, CallIdForm::Short),
    agent("Zoiper rv2.10.20.4_1", Style::Soft, CallIdForm::Short),
    agent("MicroSIP/3.21.4", Style::Soft, CallIdForm::Uuid),
    agent("baresip v3.12.1 (x86_64/Linux)", Style::Soft, CallIdForm::Short),
];

pub(super) static DOMAINS: [&str; 6] = [
    "sip.example.com",
    "voice.example.net",
    "pbx.example.org",
    "ims.carrier.example",
    "office.example.com",
    "calls.example.net",
];

pub(super) static NAMES: [&str; 20] = [
    "Alice",
    "Bob",
    "Carol",
    "Dan",
    "Erin",
    "Frank",
    "Grace",
    "Heidi",
    "Ivan",
    "Judy",
    "Mallory",
    "Niaj",
    "Olivia",
    "Peggy",
    "Rupert",
    "Sybil",
    "Trent",
    "Victor",
    "Walter",
    "Reception",
];

/// Prefixes of telephone numbers, and how many digits follow.
pub(super) static NUMBERS: [(&str, u32); 8] = [
    ("+1212555", 4),
    ("+1415555", 4),
    ("+442079460", 3),
    ("+493023125", 3),
    ("+33199004", 4),
    ("+61255501", 4),
    ("1", 3),
    ("20", 2),
];

/// What an agent offers, and what the other one takes of it.
#[derive(Debug)]
pub(super) struct Codecs {
    pub(super) offered: &'static str,
    pub(super) offered_lines: &'static str,
    pub(super) chosen: &'static str,
    pub(super) chosen_lines: &'static str,
    /// RTP clock ticks a second.
    pub(super) clock: u32,
    /// Bytes of a packet of 20 ms.
    pub(super) bytes: u32,
}

pub(super) static CODECS: [Codecs; 5] = [
    Codecs {
        offered: "8 0 9 18 101",
        offered_lines: "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:9 G722/8000\r\na=rtpmap:18 G729/8000\r\n\
                        a=fmtp:18 annexb=no\r\n",
        chosen: "8 101",
        chosen_lines: "a=rtpmap:8 PCMA/8000\r\n",
        clock: 8000,
        bytes: 160,
    },
    Codecs {
        offered: "0 8 101",
        offered_lines: "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n",
        chosen: "0 101",
        chosen_lines: "a=rtpmap:0 PCMU/8000\r\n",
        clock: 8000,
        bytes: 160,
    },
    Codecs {
        offered: "96 9 8 0 101",
        offered_lines: "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n\
                        a=rtpmap:0 PCMU/8000\r\n",
        chosen: "96 101",
        chosen_lines: "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n",
        clock: 48_000,
        bytes: 80,
    },
    Codecs {
        offered: "18 8 101",
        offered_lines: "a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:8 PCMA/8000\r\n",
        chosen: "18 101",
        chosen_lines: "a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n",
        clock: 8000,
        bytes: 20,
    },
    Codecs {
        offered: "9 8 101",
        offered_lines: "a=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n",
        chosen: "9 101",
        chosen_lines: "a=rtpmap:9 G722/8000\r\n",
        clock: 8000,
        bytes: 160,
    },
];

/// Log lines: level and words.
pub(super) static LOG_LINES: [(&str, &str); 8] = [
    ("INFO", "route[REQINIT]: new dialog"),
    ("INFO", "dispatcher: destination set 1 selected"),
    ("NOTICE", "acc: transaction answered"),
    ("INFO", "rtpengine: offer done, media relay 203.0.113.9"),
    ("WARNING", "nathelper: source differs from contact"),
    ("INFO", "dialog: state changed to confirmed"),
    ("DEBUG", "tm: retransmission timer stopped"),
    ("WARNING", "topos: no stored dialog data, passing through"),
];
