//! Files for the window: choosing, opening and saving, each on a thread of its own, so that no frame waits.
//!
//! The results come back through a channel; the shell applies them. It changes no session.

pub mod mask;
mod place;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

pub use place::WhereTo;
use place::{NEVER_SHOWN, with_ending};

use crate::demo::SAMPLES;
use crate::engine::fits;
use crate::engine::trace::Trace;
use crate::error::{Error, Result};
use crate::files;
use crate::hub::{Download, Hub, Listing};
use crate::session::tour::{self, Tour};
use crate::session::{NamedSelection, Session, file, recorded};
use crate::spec::{ModelSource, PictureSource, Replacement};

/// File name endings of pictures that can be read.
pub const PICTURES: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];

/// Of mask pictures and annotation files.
const MASKS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "json"];

/// What a file dialog is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Pick {
    Picture,
    Model,
    Session,
    Tour,
    /// The picture or the mean that replaces the patches of this row.
    Replacement {
        row: usize,
        mean: bool,
    },
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    Picture(PictureSource),
    Model(ModelSource),
    Session(Box<Session>, PathBuf),
    /// A session with the results that were saved with it.
    Recorded(Box<Session>, PathBuf, Box<Trace>),
    Tour(Box<Tour>),
    Replacement(usize, Replacement),
    /// What a mask or an annotation file selects.
    Selections(Vec<NamedSelection>),
    /// The session as it was saved, and where.
    Saved(Box<Session>, PathBuf),
    /// Where the tensors of the run are to be written.
    TensorsTo(PathBuf),
    /// A file was written.
    Exported(PathBuf),
    Hub(HubNews),
    /// There is no dialog on this desktop: the path has to be typed.
    WhereTo(WhereTo),
    /// The same of a file to be opened.
    WhichFile,
    /// Nothing was chosen.
    Nothing,
    Failed(Error),
}

/// What came of asking the hub.
#[derive(Debug)]
pub enum HubNews {
    /// What there is, how much of it is here, and whether it fits into memory.
    Listed(Listing, u64, Vec<String>),
    Fetched(String),
    /// Bytes that are here.
    Paused(u64),
    /// Why, and the bytes that are here.
    Failed(Error, u64),
}

/// A download, as both threads see it.
#[derive(Debug, Default)]
pub struct Fetching {
    /// Bytes that are here.
    pub n: AtomicU64,
    /// Set to stop for now.
    pub pause: AtomicBool,
}

/// Files up to this size are fetched to say whether a model fits.
const SMALL: u64 = 1 << 20;

/// Name of a session that has none yet.
const SESSION: &str = "session.json";

/// Starts the threads and keeps their results.
pub struct Dialogs {
    sender: Sender<Outcome>,
    results: Receiver<Outcome>,
    under_way: usize,
    ctx: egui::Context,
    /// Paths are asked for in the window, never in a dialog of the desktop.
    pub in_window: bool,
}

impl Dialogs {
    pub fn new(ctx: egui::Context) -> Self {
        let (sender, results) = channel();
        Self {
            sender,
            results,
            under_way: 0,
            ctx,
            in_window: false,
        }
    }

    /// Whether a dialog is open or a file is being read or written.
    pub fn busy(&self) -> bool {
        self.under_way > 0
    }

    /// Asks for a file in a dialog of the desktop.
    pub fn pick(&mut self, pick: Pick) {
        let in_window = self.in_window;
        self.start("file dialog", move || {
            let since = Instant::now();
            let found = if in_window { None } else { picked(&pick)? };
            let has_dialog = since.elapsed() >= NEVER_SHOWN && !in_window;
            Ok(match (found, pick) {
                (Some(outcome), _) => outcome,
                (None, _) if has_dialog => Outcome::Nothing,
                (None, Pick::Replacement { .. }) => {
                    let advice = "there is no file dialog on this desktop: type the path into the row's field";
                    return Err(Error::input(advice));
                }
                (None, _) => Outcome::WhichFile,
            })
        });
    }

    /// Opens what a typed or dropped path names.
    pub fn open(&mut self, text: String) {
        self.start("open a file", move || open(&text));
    }

    /// Opens what was dropped; a mask or annotations of the picture on screen select.
    pub fn open_dropped(&mut self, text: String, subject: Option<mask::Subject>) {
        self.start("open a dropped file", move || match subject {
            Some(subject) if mask::is_about(Path::new(&text), &subject) => {
                mask::read(Path::new(&text), &subject).map(Outcome::Selections)
            }
            _ => open(&text),
        });
    }

    /// Reads selections from a path, or asks for one.
    pub fn select(&mut self, path: Option<String>, subject: mask::Subject) {
        self.start("read a mask", move || {
            let ask = || {
                rfd::FileDialog::new()
                    .add_filter("Masks and annotations", &MASKS)
                    .pick_file()
            };
            let Some(path) = path.map(|text| expanded(&text)).or_else(ask) else {
                return Ok(Outcome::Nothing);
            };
            mask::read(&path, &subject).map(Outcome::Selections)
        });
    }

    /// Opens a sample scene, which is put into the folder if it does not lie there.
    pub fn open_sample(&mut self, name: &'static str, folder: PathBuf) {
        self.start("open a sample", move || {
            let sample = SAMPLES.iter().find(|sample| sample.name == name);
            let sample =
                sample.ok_or_else(|| Error::input(format!("there is no sample {name}")))?;
            put(&folder, &format!("sample-{name}.png"), sample.png)
        });
    }

    /// Opens a picture from the clipboard, which is put into the folder as a PNG.
    pub fn open_pasted(&mut self, image: Arc<egui::ColorImage>, folder: PathBuf) {
        self.start("paste a picture", move || {
            let [width, height] = image.size;
            let rgb: Vec<u8> = image
                .pixels
                .iter()
                .flat_map(|p| [p.r(), p.g(), p.b()])
                .collect();
            let picture = image::RgbImage::from_raw(width as u32, height as u32, rgb)
                .ok_or_else(|| Error::input("the picture in the clipboard is not whole"))?;
            let mut png = std::io::Cursor::new(Vec::new());
            picture
                .write_to(&mut png, image::ImageFormat::Png)
                .map_err(|e| {
                    Error::input(format!(
                        "the picture in the clipboard cannot be kept as a PNG: {e}"
                    ))
                })?;
            let name = format!("pasted-{:08x}.png", crc32fast::hash(png.get_ref()));
            put(&folder, &name, png.get_ref())
        });
    }

    /// Saves to `path`, or asks where.
    pub fn save(&mut self, session: &Session, path: Option<PathBuf>) {
        let session = session.clone();
        let save = move |path: PathBuf| {
            file::save(&session, &path)?;
            Ok(Outcome::Saved(Box::new(session), path))
        };
        match path {
            Some(path) => self.start("save a session", move || save(path)),
            None => self.ask_where(SESSION.to_owned(), save),
        }
    }

    /// Saves the session and beside it its results; asks where.
    pub fn save_recorded(&mut self, session: &Session, trace: Arc<Trace>) {
        let session = session.clone();
        self.ask_where(SESSION.to_owned(), move |path| {
            file::save(&session, &path)?;
            recorded::save(&session, &trace, &path)?;
            Ok(Outcome::Saved(Box::new(session), path))
        });
    }

    /// Asks where an export is to lie, makes it and writes it, all beside the window.
    pub fn export(
        &mut self,
        name: String,
        make: impl FnOnce() -> Result<Vec<u8>> + Send + 'static,
    ) {
        self.ask_where(name, move |path| {
            files::write_atomically(&path, &make()?)?;
            Ok(Outcome::Exported(path))
        });
    }

    /// Asks where the tensors of the run are to lie; the engine gives them later.
    pub fn ask_for_tensors(&mut self, name: String) {
        self.ask_where(name, |path| Ok(Outcome::TensorsTo(path)));
    }

    /// Writes a file that is made beside the window.
    pub fn write(
        &mut self,
        path: PathBuf,
        make: impl FnOnce() -> Result<Vec<u8>> + Send + 'static,
    ) {
        self.start("export", move || {
            files::write_atomically(&path, &make()?)?;
            Ok(Outcome::Exported(path))
        });
    }

    /// Asks the hub what a model consists of, and whether it would fit.
    pub fn look_up(&mut self, id: String) {
        self.start("ask the hub", move || Ok(Outcome::Hub(look_up(&id))));
    }

    /// Fetches what is missing of a model.
    pub fn fetch(&mut self, listing: Listing, fetching: Arc<Fetching>) {
        let ctx = self.ctx.clone();
        self.start("download", move || {
            let hub = Hub::from_env()?;
            let download = Download::new(&hub, &listing);
            let fetched = download.fetch(&mut |n, _| {
                fetching.n.store(n, Ordering::Relaxed);
                ctx.request_repaint();
                match fetching.pause.load(Ordering::Relaxed) {
                    true => Err(Error::Cancelled),
                    false => Ok(()),
                }
            });
            Ok(Outcome::Hub(match fetched {
                Ok(_) => HubNews::Fetched(listing.id.clone()),
                Err(Error::Cancelled) => HubNews::Paused(download.n_there()),
                Err(error) => HubNews::Failed(error, download.n_there()),
            }))
        });
    }

    /// The next result, if there is one.
    pub fn take(&mut self) -> Option<Outcome> {
        let outcome = self.results.try_recv().ok()?;
        self.under_way = self.under_way.saturating_sub(1);
        Some(outcome)
    }

    fn start(&mut self, name: &str, work: impl FnOnce() -> Result<Outcome> + Send + 'static) {
        let (sender, ctx) = (self.sender.clone(), self.ctx.clone());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let work = std::panic::AssertUnwindSafe(work);
                let result = std::panic::catch_unwind(work).unwrap_or_else(|_panic| {
                    Err(Error::internal(
                        "the file dialog failed: use File, Open path… instead",
                    ))
                });
                // A send fails only when the window is gone.
                let _gone = sender.send(result.unwrap_or_else(Outcome::Failed));
                ctx.request_repaint();
            });
        match thread {
            Ok(_) => self.under_way += 1,
            Err(error) => {
                let error = Error::internal(format!(
                    "a thread for the file could not be started: {error}"
                ));
                let _gone = self.sender.send(Outcome::Failed(error));
            }
        }
    }
}

fn picked(pick: &Pick) -> Result<Option<Outcome>> {
    let dialog = rfd::FileDialog::new();
    let pictures = |dialog: rfd::FileDialog| dialog.add_filter("Pictures", &PICTURES).pick_file();
    Ok(match pick {
        Pick::Picture => pictures(dialog).map(|path| Outcome::Picture(PictureSource::File(path))),
        Pick::Model => dialog
            .pick_folder()
            .map(|path| Outcome::Model(ModelSource::Folder(path))),
        Pick::Session => match dialog.add_filter("Sessions", &["json"]).pick_file() {
            Some(path) => Some(load(path)?),
            None => None,
        },
        Pick::Tour => match dialog.add_filter("Tours", &["md"]).pick_file() {
            Some(path) => Some(Outcome::Tour(Box::new(tour::load(&path)?))),
            None => None,
        },
        Pick::Replacement { row, mean: true } => dialog
            .add_filter("Tensors", &["safetensors", "pt", "pth"])
            .pick_file()
            .map(|path| Outcome::Replacement(*row, Replacement::MeanOf(path))),
        Pick::Replacement { row, mean: false } => {
            pictures(dialog).map(|path| Outcome::Replacement(*row, Replacement::Image(path)))
        }
    })
}

/// A picture of ours that a session can point to, whole or not at all.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<Outcome> {
    std::fs::create_dir_all(folder).map_err(|e| Error::write(folder, &e))?;
    let path = folder.join(name);
    if !path.exists() {
        files::write_atomically(&path, bytes)?;
    }
    Ok(Outcome::Picture(PictureSource::File(path)))
}

fn look_up(id: &str) -> HubNews {
    let look = || {
        let hub = Hub::from_env()?;
        let listing = hub.list(id)?;
        let download = Download::new(&hub, &listing);
        download.fetch_small(&mut |_, _| Ok(()), SMALL)?;
        let config = download.path_of("config.json");
        let memory = config.map(|path| fits(&path)).transpose()?;
        let there = download.n_there();
        Ok((listing, there, memory.unwrap_or_default()))
    };
    match look() {
        Ok((listing, there, memory)) => HubNews::Listed(listing, there, memory),
        Err(error) => HubNews::Failed(error, 0),
    }
}

/// Asks for a place in a dialog of the desktop; the ending of `name` is kept.
fn in_dialog(name: &str) -> Option<PathBuf> {
    let ending = name.rsplit('.').next().unwrap_or_default();
    let filter = if ending == "json" { "Sessions" } else { ending };
    let dialog = rfd::FileDialog::new().add_filter(filter, &[ending]);
    let path = dialog.set_file_name(name).save_file()?;
    Some(with_ending(path, name))
}

fn load(path: PathBuf) -> Result<Outcome> {
    let session = Box::new(file::load(&path)?);
    Ok(match recorded::load(&session, &path)? {
        Some(trace) => Outcome::Recorded(session, path, Box::new(trace)),
        None => Outcome::Session(session, path),
    })
}

/// Tells by its form what a path names.
fn open(text: &str) -> Result<Outcome> {
    let path = expanded(text);
    let ending = path
        .extension()
        .map(|e| e.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    if path.is_dir() {
        return Ok(Outcome::Model(ModelSource::Folder(path)));
    }
    if path.file_name().is_some_and(|name| name == "config.json") && path.exists() {
        let folder = path.parent().unwrap_or(Path::new("."));
        return Ok(Outcome::Model(ModelSource::Folder(folder.to_owned())));
    }
    if ending == "json" {
        return load(path);
    }
    if ending == "md" {
        return Ok(Outcome::Tour(Box::new(tour::load(&path)?)));
    }
    if ending == "gguf" && path.exists() {
        let mmproj = None;
        return Ok(Outcome::Model(ModelSource::Gguf {
            model: path,
            mmproj,
        }));
    }
    if PICTURES.contains(&ending.as_str()) {
        return match path.exists() {
            true => Ok(Outcome::Picture(PictureSource::File(path))),
            false => Err(Error::input(format!(
                "{} does not exist: check the path",
                path.display()
            ))),
        };
    }
    match file::model_source(text, Path::new("")) {
        hub @ ModelSource::Hub(_) => Ok(Outcome::Model(hub)),
        _ if !path.exists() => Err(Error::input(format!(
            "{} does not exist: check the path",
            path.display()
        ))),
        _ => Err(Error::input(format!(
            "{} is neither a picture ({}), a model (a folder or .gguf) nor a session (.json)",
            path.display(),
            PICTURES.join(", ")
        ))),
    }
}

/// A leading `~/` is the home folder.
fn expanded(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(at("a.PNG"), b"").unwrap();
        std::fs::write(at("config.json"), b"{}").unwrap();
        std::fs::write(at("notes.txt"), b"").unwrap();
        let folder = ModelSource::Folder(dir.path().to_owned());
        assert!(matches!(
            open(&at("a.PNG")).unwrap(),
            Outcome::Picture(PictureSource::File(_))
        ));
        assert!(matches!(
            open(&at("")).unwrap(),
            Outcome::Model(ModelSource::Folder(_))
        ));
        assert!(matches!(open(&at("config.json")).unwrap(), Outcome::Model(m) if m == folder));
        assert!(matches!(
            open("owner/name").unwrap(),
            Outcome::Model(ModelSource::Hub(_))
        ));
        for (path, words) in [
            (at("b.png"), "does not exist"),
            (at("notes.txt"), "neither"),
            (at("s.json"), "s.json"),
        ] {
            let error = open(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
