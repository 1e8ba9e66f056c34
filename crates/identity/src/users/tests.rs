use std::net::IpAddr;

use pintail_types::{ErrorKind, ManualClock};

use super::*;
use crate::LoginLimit;

/// Cheap hashes, so that tests are quick.
fn hash(password: &str) -> String {
    let cheap =
        Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let salt = SaltString::encode_b64(b"0123456789abcdef").unwrap();
    cheap.hash_password(password.as_bytes(), &salt).unwrap().to_string()
}

struct Site {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Site {
    fn new(text: &str) -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::at(0)) };
        site.write(text);
        site
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("users")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    fn users(&self) -> Result<Users> {
        Users::open(self.path(), Arc::clone(&self.clock) as Arc<dyn Clock>)
    }
}

async fn check(users: &Users, name: &str, password: &str) -> Checked {
    users.check(name, password, &Attempt::unlimited()).await.unwrap()
}

#[tokio::test]
async fn users_are_known_by_their_passwords() {
    let text = format!(
        "# people\n\n ann : {} : admin , writers\r\nbob:{}:\n  # more\ncarl:{}\n",
        hash("a:b"),
        hash("pass"),
        hash("ü")
    );
    let site = Site::new(&text);
    let users = site.users().unwrap();
    let right = |name: &str, groups: &[&str]| Checked::Right(Principal::new(name, groups.iter().copied()));
    for (name, password, expected) in [
        ("ann", "a:b", right("ann", &["admin", "writers"])),
        ("bob", "pass", right("bob", &[])),
        ("carl", "ü", right("carl", &[])),
        ("ann", "pass", Checked::Wrong),
        ("bob", "", Checked::Wrong),
        ("Bob", "pass", Checked::Unknown),
        ("", "", Checked::Unknown),
        ("# people", "", Checked::Unknown),
    ] {
        // The second time from the cache.
        for _ in 0..2 {
            assert_eq!(check(&users, name, password).await, expected, "{name} {password}");
        }
    }
    users.pretend("x", &Attempt::unlimited()).await.unwrap();
}

#[tokio::test]
async fn a_changed_file_counts_and_a_broken_one_does_not() {
    let site = Site::new(&format!("ann:{}:readers\n", hash("old")));
    let users = site.users().unwrap();
    assert!(matches!(check(&users, "ann", "old").await, Checked::Right(_)));
    assert!(!users.has_changed());
    site.write(&format!("ann:{}:admin\nbob:{}:\n", hash("new"), hash("b")));
    assert!(users.has_changed() && !users.has_changed());
    users.reload().unwrap();
    assert_eq!(check(&users, "ann", "old").await, Checked::Wrong);
    assert_eq!(check(&users, "ann", "new").await, Checked::Right(Principal::new("ann", ["admin"])));
    site.write("ann:nonsense:admin\n");
    assert!(users.has_changed());
    assert!(users.reload().unwrap_err().message().contains("line 1"));
    assert!(matches!(check(&users, "bob", "b").await, Checked::Right(_)));
}

#[test]
fn unusable_lines_are_named() {
    let good = hash("x");
    for (text, wanted) in [
        ("ann", "line 1: name:argon2-hash:group,group is wanted"),
        (":x:", "line 1: a name is wanted before the first colon"),
        ("ann:secret:readers", "line 1: the second field is no argon2 hash"),
        ("ann:$2b$12$abcdefghijklmnopqrstuuJ1Zl6wS8k:x", "no argon2 hash"),
        (
            "ann:$pbkdf2-sha256$i=1000$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA:x",
            "its algorithm is pbkdf2-sha256",
        ),
        ("ann:$argon2id$v=19$m=19456,t=2,p=1:x", "salt or hash is missing"),
        (&format!("ann:{good}:a\n#\nann:{good}:b"), "line 3: user 'ann' is there twice"),
        (&format!("ann:{}:a", good.replace("m=8,", "m=1048576,")), "costs more than is allowed"),
        (&format!("ann:{}:a", good.replace("t=1,", "t=17,")), "costs more than is allowed"),
    ] {
        let error = Site::new(text).users().unwrap_err();
        assert!(error.message().contains(wanted), "{text}: {error}");
    }
    let missing = Users::open("/none/users".into(), Arc::new(ManualClock::at(0))).unwrap_err();
    assert!(missing.message().contains("users file /none/users"), "{missing}");
    Site::new("").users().unwrap();
}

#[tokio::test]
async fn a_right_password_is_remembered_and_a_blocked_address_is_not_checked() {
    let site = Site::new(&format!("ann:{}:\n", hash("right")));
    let users = site.users().unwrap();
    let limit = LoginLimit::new(Arc::clone(&site.clock) as Arc<dyn Clock>);
    let peer: IpAddr = "10.0.0.1".parse().unwrap();
    assert!(matches!(check(&users, "ann", "right").await, Checked::Right(_)));
    for _ in 0..10 {
        limit.failed(Some(peer));
    }
    let attempt = Attempt::new(Some(&limit), Some(peer));
    // Remembered: no check is made.
    assert!(matches!(users.check("ann", "right", &attempt).await.unwrap(), Checked::Right(_)));
    site.clock.advance(VERIFIED_LIFETIME);
    for _ in 0..200 {
        limit.failed(Some(peer));
    }
    let refused = users.check("ann", "right", &attempt).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Exhausted);
}

#[tokio::test]
async fn hashed_passwords_are_right() {
    let made = hash_password("correct horse").unwrap();
    assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
    assert_ne!(made, hash_password("correct horse").unwrap());
    let users = Site::new(&format!("ann:{made}:writers")).users().unwrap();
    assert!(matches!(check(&users, "ann", "correct horse").await, Checked::Right(_)));
    assert!(hash_password("").is_err());
}
