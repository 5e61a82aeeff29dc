//! Fetching the files of a model into the cache: resumed where they were left, checked against size and hash, and put in
//! their place only when they are whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha1::Digest as _;

use super::client::Client;
use super::{Hub, Listing, RemoteFile};
use crate::error::{Error, Result};
use crate::files;

/// Called with the bytes that are there and all bytes; an error pauses the download, and what has come is kept.
pub type Progress<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// How often a connection that breaks off is taken up again without being asked.
const RETRIES: usize = 3;
const BUFFER: usize = 1 << 18;

/// A download on its way.
pub struct Download<'a> {
    hub: &'a Hub,
    listing: &'a Listing,
    client: Client<'a>,
    repository: PathBuf,
}

/// The hash that a file is known by.
enum Hash {
    /// Of the content, for large files.
    Sha256(sha2::Sha256),
    /// Of a git object: the content after its length.
    Git(sha1::Sha1),
}

impl Hash {
    fn of(file: &RemoteFile) -> Self {
        match file.digest.len() {
            64 => Self::Sha256(sha2::Sha256::new()),
            _ => {
                let head = format!("blob {}\0", file.size);
                Self::Git(sha1::Sha1::new_with_prefix(head))
            }
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Git(hash) => hash.update(bytes),
        }
    }

    fn hex(self) -> String {
        let bytes = match self {
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Git(hash) => hash.finalize().to_vec(),
        };
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl<'a> Download<'a> {
    pub fn new(hub: &'a Hub, listing: &'a Listing) -> Self {
        Self {
            client: Client::new(hub),
            repository: hub.repository(&listing.id),
            hub,
            listing,
        }
    }

    /// Bytes that are there already, of files that are whole or were begun.
    pub fn n_there(&self) -> u64 {
        self.listing.files.iter().map(|file| self.there(file)).sum()
    }

    fn there(&self, file: &RemoteFile) -> u64 {
        let len = |path: PathBuf| fs::metadata(path).map(|meta| meta.len()).ok();
        match len(self.blob(file)) {
            Some(size) if size == file.size => size,
            _ => len(self.incomplete(file)).unwrap_or(0).min(file.size),
        }
    }

    fn blob(&self, file: &RemoteFile) -> PathBuf {
        self.repository.join("blobs").join(&file.digest)
    }

    fn incomplete(&self, file: &RemoteFile) -> PathBuf {
        let name = format!("{}.incomplete", file.digest);
        self.repository.join("blobs").join(name)
    }

    /// Fetches what is missing and gives the folder of the model.
    ///
    /// # Errors
    /// A network that fails, a file that is not what the hub said, a disk that is full, the wish to pause.
    pub fn fetch(&self, progress: &mut Progress<'_>) -> Result<PathBuf> {
        self.fetch_some(progress, |_| true)?;
        self.put_in_place()
    }

    /// Fetches the files up to this size, so that a model can be judged before its weights come; they are read from
    /// [`Download::path_of`].
    ///
    /// # Errors
    /// As [`Download::fetch`].
    pub fn fetch_small(&self, progress: &mut Progress<'_>, most: u64) -> Result<()> {
        self.fetch_some(progress, |file| file.size <= most)
    }

    /// Where a fetched file lies before the model is in its place.
    pub fn path_of(&self, name: &str) -> Option<PathBuf> {
        let file = self.listing.files.iter().find(|file| file.name == name)?;
        Some(self.blob(file)).filter(|path| path.is_file())
    }

    fn fetch_some(
        &self,
        progress: &mut Progress<'_>,
        wanted: impl Fn(&RemoteFile) -> bool,
    ) -> Result<()> {
        let folder = self.repository.join("blobs");
        fs::create_dir_all(&folder).map_err(|e| Error::write(&folder, &e))?;
        for file in self.listing.files.iter().filter(|file| wanted(file)) {
            if fs::metadata(self.blob(file)).is_ok_and(|meta| meta.len() == file.size) {
                continue;
            }
            let others = self.n_there() - self.there(file);
            let all = self.listing.n_bytes();
            self.fetch_file(file, &mut |n| progress(others + n, all))?;
        }
        progress(self.n_there(), self.listing.n_bytes())
    }

    /// One file; a connection that breaks off is taken up again while it brings something.
    fn fetch_file(
        &self,
        file: &RemoteFile,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let mut left = RETRIES;
        loop {
            let before = self.there(file);
            match self.receive(file, progress) {
                Err(Error::Internal(_)) if left > 0 && self.there(file) > before => left -= 1,
                Err(error) => return Err(error),
                Ok(()) => return self.check(file),
            }
        }
    }

    /// Appends to what is there of a file until it has its size.
    fn receive(
        &self,
        file: &RemoteFile,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let path = self.incomplete(file);
        let mut there = fs::metadata(&path).map_or(0, |meta| meta.len());
        if there == file.size && there > 0 {
            return Ok(());
        }
        if there > file.size {
            there = 0;
        }
        let Listing { id, commit, .. } = self.listing;
        let address = format!("{id}/resolve/{commit}/{}", file.name);
        let about = format!("{} of {id}", file.name);
        let mut part = self.client.file(&address, there, &about)?;
        let mut out = open_at(&path, part.from).map_err(|e| Error::write(&path, &e))?;
        let mut n = part.from;
        let mut buffer = vec![0; BUFFER];
        while n < file.size {
            progress(n)?;
            let read = match part.reader.read(&mut buffer) {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.cut(&about, n, file, &e.to_string())),
            };
            if read == 0 {
                return Err(self.cut(&about, n, file, "it ended early"));
            }
            let read = read.min((file.size - n) as usize);
            out.write_all(&buffer[..read])
                .map_err(|e| Error::write(&path, &e))?;
            n += read as u64;
        }
        out.sync_all().map_err(|e| Error::write(&path, &e))?;
        progress(n)
    }

    fn cut(&self, about: &str, n: u64, file: &RemoteFile, why: &str) -> Error {
        Error::internal(format!(
            "the connection to {} broke off after {n} of {} bytes of {about} ({why}): start the download again, it goes on \
             from there",
            self.hub.host(),
            file.size
        ))
    }

    /// Compares the hash and gives the file its name; what is wrong is thrown away.
    fn check(&self, file: &RemoteFile) -> Result<()> {
        let path = self.incomplete(file);
        let found = hash_of(&path, file).map_err(|e| Error::read(&path, &e))?;
        if !found.eq_ignore_ascii_case(&file.digest) {
            fs::remove_file(&path).map_err(|e| Error::write(&path, &e))?;
            return Err(Error::internal(format!(
                "{} of {} is not what {} says it is: its hash is {found}, not {}; what had come was deleted, try again",
                file.name,
                self.listing.id,
                self.hub.host(),
                file.digest
            )));
        }
        let blob = self.blob(file);
        fs::rename(&path, &blob).map_err(|e| Error::write(&blob, &e))
    }

    /// The snapshot with all files, and the note that it is `main`.
    fn put_in_place(&self) -> Result<PathBuf> {
        let snapshot = self.repository.join("snapshots").join(&self.listing.commit);
        let refs = self.repository.join("refs");
        for folder in [&snapshot, &refs] {
            fs::create_dir_all(folder).map_err(|e| Error::write(folder, &e))?;
        }
        for file in &self.listing.files {
            let at = snapshot.join(&file.name);
            link(&self.blob(file), &file.digest, &at).map_err(|e| Error::write(&at, &e))?;
        }
        let main = refs.join("main");
        files::write_atomically(&main, self.listing.commit.as_bytes())?;
        Ok(snapshot)
    }
}

/// Opens a file to go on at `from`, which is its end, or to begin anew.
fn open_at(path: &Path, from: u64) -> io::Result<File> {
    match from {
        0 => File::create(path),
        _ => OpenOptions::new().append(true).open(path),
    }
}

fn hash_of(path: &Path, file: &RemoteFile) -> io::Result<String> {
    let mut hash = Hash::of(file);
    let mut from = File::open(path)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hash.hex()),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// A link into the blobs as other tools make it, relative; where the system has none, a copy.
fn link(blob: &Path, digest: &str, at: &Path) -> io::Result<()> {
    if at.exists() {
        return Ok(());
    }
    // A link that leads nowhere does not count as there.
    let _ = fs::remove_file(at);
    let target = Path::new("..").join("..").join("blobs").join(digest);
    #[cfg(unix)]
    let linked = std::os::unix::fs::symlink(&target, at);
    #[cfg(windows)]
    let linked = std::os::windows::fs::symlink_file(&target, at);
    match linked {
        Ok(()) => Ok(()),
        Err(_) => fs::hard_link(blob, at).or_else(|_| fs::copy(blob, at).map(drop)),
    }
}
