use pintail_types::{ErrorKind, ManualClock};

use super::*;
use crate::Secret;

const SECOND: Micros = 1_000_000;

struct Process {
    clock: Arc<ManualClock>,
    secret: Secret,
    limits: SessionLimits,
}

impl Process {
    fn new(max_sessions: usize) -> Self {
        let limits =
            SessionLimits { idle: Duration::from_secs(100), max: Duration::from_secs(1000), max_sessions };
        Self { clock: Arc::new(ManualClock::at(SECOND)), secret: Secret::random().unwrap(), limits }
    }

    /// The sessions after a start of the process.
    fn start(&self) -> Sessions {
        self.clock.advance(1);
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let sessions = Sessions::new(self.secret.signer("session"), clock, self.limits);
        self.clock.advance(1);
        sessions
    }

    fn wait(&self, seconds: i64) {
        self.clock.advance(seconds * SECOND);
    }
}

fn somebody() -> Principal {
    Principal::new("ä b\0admin", ["readers", "x,y"])
}

#[test]
fn a_session_is_its_principals_until_it_is_closed() {
    let process = Process::new(10);
    let sessions = process.start();
    let (token, opened) = sessions.open(somebody()).unwrap();
    assert!(Sessions::is_session_token(&token) && !Sessions::is_session_token("secret"));
    let resumed = sessions.resume(&token).unwrap();
    assert_eq!(resumed, opened);
    assert_eq!(resumed.principal, somebody());
    let (other, _) = sessions.open(somebody()).unwrap();
    assert!(sessions.is_live(opened.id));
    sessions.close(&opened);
    assert!(!sessions.is_live(opened.id));
    assert_eq!(sessions.resume(&token).unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert!(sessions.resume(&other).is_ok());
}

#[test]
fn what_was_not_sealed_here_is_refused() {
    let process = Process::new(10);
    let sessions = process.start();
    let (token, _) = sessions.open(somebody()).unwrap();
    let foreign = Process::new(10).start().open(somebody()).unwrap().0;
    let other_purpose = {
        let clock: Arc<dyn Clock> = Arc::clone(&process.clock) as _;
        Sessions::new(process.secret.signer("another listener"), clock, process.limits)
    };
    for wrong in
        ["", "pintail-session.", "pintail-session.AAAA", &token[1..], &token[..token.len() - 1], &foreign]
    {
        assert_eq!(sessions.resume(wrong).unwrap_err().kind(), ErrorKind::Unauthenticated, "{wrong}");
    }
    assert!(other_purpose.resume(&token).is_err());
}

#[test]
fn sessions_end_when_idle_and_when_old() {
    let process = Process::new(10);
    let sessions = process.start();
    let (used, _) = sessions.open(somebody()).unwrap();
    let (idle, idle_session) = sessions.open(somebody()).unwrap();
    // Every use begins the idle time anew, up to the absolute end.
    for _ in 0..10 {
        process.wait(99);
        sessions.resume(&used).unwrap();
    }
    assert!(!sessions.is_live(idle_session.id));
    assert!(sessions.resume(&idle).is_err());
    process.wait(10);
    assert!(sessions.resume(&used).is_err());
}

#[test]
fn sessions_survive_a_restart_and_end_as_they_would_have() {
    let process = Process::new(10);
    let first = process.start();
    let (token, _) = first.open(somebody()).unwrap();
    let (closed_later, _) = first.open(somebody()).unwrap();
    process.wait(50);
    let second = process.start();
    assert_eq!(second.resume(&token).unwrap().principal, somebody());
    let session = second.resume(&closed_later).unwrap();
    second.close(&session);
    assert!(second.resume(&closed_later).is_err());
    process.wait(99);
    second.resume(&token).unwrap();
    // Not used within the idle time after the restart.
    let third = process.start();
    process.wait(100);
    assert!(third.resume(&token).is_err());
    // Too old, though the restart was a moment ago.
    process.wait(800);
    assert!(process.start().resume(&token).is_err());
}

#[test]
fn the_session_not_used_for_longest_makes_room() {
    let process = Process::new(2);
    let sessions = process.start();
    let tokens: Vec<_> = (0..2)
        .map(|_| {
            process.wait(1);
            sessions.open(somebody()).unwrap().0
        })
        .collect();
    process.wait(1);
    sessions.resume(&tokens[0]).unwrap();
    process.wait(1);
    let (third, _) = sessions.open(somebody()).unwrap();
    let live: Vec<_> = [&tokens[0], &tokens[1], &third].map(|token| sessions.resume(token).is_ok()).to_vec();
    assert_eq!(live, [true, false, true]);
}

#[test]
fn when_too_many_earlier_sessions_were_closed_no_other_earlier_one_is_taken() {
    let process = Process::new(2);
    let first = process.start();
    let earlier: Vec<_> = (0..4).map(|_| first.open(somebody()).unwrap()).collect();
    let second = process.start();
    for (_, session) in &earlier[..3] {
        second.close(session);
    }
    assert!(earlier.iter().all(|(token, _)| second.resume(token).is_err()));
    let (new, _) = second.open(somebody()).unwrap();
    assert!(second.resume(&new).is_ok());
}
