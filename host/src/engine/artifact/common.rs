//! Machine code that several hosts share: compiled by one of them, taken by the others.
//!
//! A folder that all hosts of a cluster can reach (a `ReadWriteMany` volume), and a key that only they have (a Secret). Each file is signed with that
//! key (HMAC-SHA256 over the name, which stands for component, engine version, settings and processor features, and the code):
//! whoever may write to the folder, but has not the key, cannot make a host run anything. Whoever has the key is a host of this cluster.
//! A file that is found is checked whole, copied into the host's own cache folder and used from there, so that what
//! happens to the shared one later does no harm.
//!
//! The first host that wants a component puts a note beside the place where its code will be; others wait for it, so that one compiles.
//! A note that grows old, of a host that was lost, holds nobody up.

use std::{
    fs, io,
    io::Write as _,
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime},
};

use aws_lc_rs::{constant_time, hmac};

use super::{
    disk::{self, Unfinished},
    error::ArtifactError,
};

const MAGIC: &[u8; 16] = b"penstock code 1\n";
const TAG: usize = 32;
/// Bytes of a key at least: as many as the hash has (RFC 2104, section 3).
const KEY: usize = 32;
/// The largest file that is read.
const LARGEST: u64 = 1 << 30;
/// A note that is older is of a host that was lost: compiling takes less, with the largest components there are.
const NOTE_HOLDS: Duration = Duration::from_secs(90);
/// Other hosts may run as other users: what counts is the signature.
const READABLE: u32 = 0o644;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Where hosts share machine code, and what they sign it with.
#[derive(Clone, Debug)]
pub struct CommonOptions {
    /// A folder that all hosts of the cluster can reach.
    pub folder: PathBuf,
    /// A file with the key that only they have: 32 bytes or more.
    pub key_file: PathBuf,
}

/// The shared folder.
pub(super) struct Common {
    folder: PathBuf,
    key: hmac::Key,
}

/// What there is for a component.
pub(super) enum Found {
    /// Its machine code, as a host of this cluster has signed it.
    Code(SignedCode),
    /// None, and it is this host's turn to compile.
    Turn(Turn),
}

/// Machine code that a host of this cluster has compiled. There is no other way to make one than [`Common::find`].
pub(super) struct SignedCode(Vec<u8>);

/// While it lives the others wait.
pub(super) struct Turn(Option<PathBuf>);

// === impl SignedCode ===

impl SignedCode {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

// === impl Turn ===

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(note) = &self.0 {
            // It grows old if it cannot be deleted.
            let _ = fs::remove_file(note);
        }
    }
}

// === impl Common ===

impl Common {
    /// Reads the key.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::CommonKey`] if there is none, or one that is too short.
    pub(super) fn open(options: &CommonOptions) -> Result<Self, ArtifactError> {
        let refuse = |reason: String| ArtifactError::CommonKey { path: options.key_file.clone(), reason };
        let bytes = fs::read(&options.key_file).map_err(|error| refuse(error.to_string()))?;
        if bytes.len() < KEY {
            let len = bytes.len();
            return Err(refuse(format!(
                "it has {len} bytes and needs {KEY} at least: make one with `head -c 32 /dev/urandom`"
            )));
        }
        Ok(Self { folder: options.folder.clone(), key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
    }

    /// Looks for the code of `key`, and waits for it while another host compiles it. Blocks.
    pub(super) fn find(&self, key: &str) -> Found {
        let until = Instant::now() + NOTE_HOLDS;
        loop {
            match self.read(key) {
                Ok(code) => return Found::Code(code),
                Err(Unread::Absent) => {}
                Err(Unread::Refused(reason)) => {
                    // Left as it is: whoever can write there could put it back, and the others say the same.
                    tracing::warn!(folder = %self.folder.display(), key, reason, "shared machine code refused; compiling");
                    return Found::Turn(Turn(None));
                }
            }
            match self.take_turn(key) {
                Some(turn) => return Found::Turn(turn),
                None if Instant::now() >= until => return Found::Turn(Turn(None)),
                None => thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// Shares code that this host has compiled. A failure is said and harms nobody.
    pub(super) fn offer(&self, key: &str, code: &[u8]) {
        if let Err(error) = self.write(key, code) {
            tracing::warn!(folder = %self.folder.display(), %error, "machine code not shared: other hosts compile it themselves");
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key).with_extension("code")
    }

    fn read(&self, key: &str) -> Result<SignedCode, Unread> {
        let refused = |reason: &str| Unread::Refused(reason.to_owned());
        let path = self.path(key);
        let mut bytes = match fs::metadata(&path) {
            Ok(metadata) if metadata.len() > LARGEST => return Err(refused("it is too large")),
            Ok(_) => fs::read(&path).map_err(|error| refused(&error.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unread::Absent),
            Err(error) => return Err(refused(&error.to_string())),
        };
        let (head, code) = bytes.split_at_checked(MAGIC.len() + TAG).ok_or_else(|| refused("it is cut off"))?;
        let (magic, tag) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(refused("it is of another version of this program"));
        }
        constant_time::verify_slices_are_equal(self.sign(key, code).as_ref(), tag)
            .map_err(|_| refused("no host with this key has signed it"))?;
        bytes.drain(..MAGIC.len() + TAG);
        Ok(SignedCode(bytes))
    }

    fn write(&self, key: &str, code: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut unfinished = Unfinished::create(&self.folder, READABLE)?;
        for part in [MAGIC, self.sign(key, code).as_ref(), code] {
            unfinished.file.write_all(part)?;
        }
        unfinished.file.sync_all()?;
        unfinished.finish(&self.path(key))
    }

    /// Of name and code: names have one length, so that nothing can move from one part to the other.
    fn sign(&self, key: &str, code: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [MAGIC, key.as_bytes(), b"\n", code] {
            context.update(part);
        }
        context.sign()
    }

    /// This host's turn, unless another's lasts. A folder that cannot be written gives each a turn.
    fn take_turn(&self, key: &str) -> Option<Turn> {
        let note = self.folder.join(key).with_extension("note");
        match fs::create_dir_all(&self.folder).and_then(|()| disk::new_file(&note, READABLE)) {
            Ok(_) => Some(Turn(Some(note))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let written = fs::metadata(&note).and_then(|metadata| metadata.modified()).ok()?;
                let age = SystemTime::now().duration_since(written).unwrap_or_default();
                // The old note goes with this turn. Not `then_some`: a turn that is made and dropped takes its note away.
                (age > NOTE_HOLDS).then(|| Turn(Some(note)))
            }
            Err(_) => Some(Turn(None)),
        }
    }
}

enum Unread {
    Absent,
    Refused(String),
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn common(folder: &Path, key: u8) -> Common {
        let key_file = folder.join(format!("key-{key}"));
        fs::write(&key_file, [key; KEY]).unwrap();
        Common::open(&CommonOptions { folder: folder.join("code"), key_file }).unwrap()
    }

    #[test]
    fn what_one_host_signs_another_takes_and_nobody_else_can_make() {
        let temp = tempfile::tempdir().unwrap();
        let (one, other, stranger) = (common(temp.path(), 1), common(temp.path(), 1), common(temp.path(), 2));
        let Found::Turn(turn) = one.find("aa") else { panic!("nothing is there") };
        one.offer("aa", b"code");
        drop(turn);
        assert!(matches!(other.find("aa"), Found::Code(code) if code.0 == b"code"));
        assert!(matches!(stranger.find("aa"), Found::Turn(Turn(None))), "signed with another key");
        fs::copy(one.path("aa"), one.path("bb")).unwrap();
        assert!(matches!(other.find("bb"), Found::Turn(Turn(None))), "of another component");
        let mut bytes = fs::read(one.path("aa")).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(one.path("aa"), &bytes).unwrap();
        assert!(matches!(other.find("aa"), Found::Turn(Turn(None))), "changed");
        fs::write(one.path("aa"), b"cut").unwrap();
        assert!(matches!(other.find("aa"), Found::Turn(Turn(None))), "cut off");
    }

    #[test]
    fn others_wait_for_whose_turn_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let (one, other) = (common(temp.path(), 1), common(temp.path(), 1));
        let Found::Turn(turn) = one.find("aa") else { panic!("nothing is there") };
        let waits = thread::spawn(move || other.find("aa"));
        assert!(one.take_turn("aa").is_none(), "it is taken");
        one.offer("aa", b"code");
        drop(turn);
        assert!(matches!(waits.join().unwrap(), Found::Code(_)));
        let Some(turn) = one.take_turn("aa") else { panic!("the turn is over") };
        drop(turn);

        // Of a host that was lost.
        let note = disk::new_file(&temp.path().join("code/cc.note"), READABLE).unwrap();
        note.set_modified(SystemTime::now() - 2 * NOTE_HOLDS).unwrap();
        let Found::Turn(turn) = one.find("cc") else { panic!("nothing is there") };
        drop(turn);
        assert!(!temp.path().join("code/cc.note").exists());
    }

    #[test]
    fn a_short_key_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let key_file = temp.path().join("key");
        fs::write(&key_file, b"secret").unwrap();
        let options = CommonOptions { folder: temp.path().join("code"), key_file };
        let error = Common::open(&options).err().unwrap().to_string();
        assert!(error.contains("6 bytes and needs 32"), "{error}");
    }
}
