//! `patchglass download`: a model from the hub into the Hugging Face cache, after saying how large it is and whether it fits.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;

use crate::engine::budget::size;
use crate::engine::fits;
use crate::error::Result;
use crate::hub::{Download, Hub, Listing};

/// Files up to this size tell what the model is.
const SMALL: u64 = 32 << 20;

#[derive(Args, Debug)]
pub struct DownloadArgs {
    /// The model, as owner/name
    id: String,
    /// Say what would be downloaded, and fetch only what tells whether it fits
    #[arg(long)]
    dry_run: bool,
}

pub fn download(args: &DownloadArgs) -> Result<()> {
    let hub = Hub::from_env()?;
    let listing = hub.list(&args.id)?;
    let download = Download::new(&hub, &listing);
    eprintln!("{}", size_line(&listing, &download));
    let mut told = None;
    let mut progress = |n: u64, all: u64| {
        tell(n, all, &mut told);
        Ok(())
    };
    download.fetch_small(&mut progress, SMALL)?;
    let path = |name: &str| download.path_of(name);
    if let Some(config) = path("config.json") {
        for line in fits(&config)? {
            eprintln!("{line}");
        }
    }
    if args.dry_run {
        return Ok(());
    }
    let folder = download.fetch(&mut progress)?;
    eprintln!();
    super::print(&folder.display().to_string())
}

/// What is to be fetched, before anything is.
fn size_line(listing: &Listing, download: &Download<'_>) -> String {
    let (all, there) = (listing.n_bytes(), download.n_there());
    format!(
        "{}: {} files, {}; {} of it are already here",
        listing.id,
        listing.files.len(),
        size(all),
        size(there)
    )
}

/// One line that is overwritten on a terminal, a line every ten per cent elsewhere.
fn tell(n: u64, all: u64, told: &mut Option<u64>) {
    let mut out = std::io::stderr();
    let percent = n * 100 / all.max(1);
    let step = if out.is_terminal() {
        percent
    } else {
        percent / 10
    };
    if *told == Some(step) {
        return;
    }
    *told = Some(step);
    let line = format!("{percent} % of {}", size(all));
    // Progress that cannot be shown is no reason to stop.
    let _ = match out.is_terminal() {
        true => write!(out, "\r\x1b[K{line}"),
        false => writeln!(out, "{line}"),
    };
    let _ = out.flush();
}
