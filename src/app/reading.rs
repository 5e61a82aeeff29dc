//! What menus and keys change of how words and heat maps are read.

use crate::session::{Colours, Command, LensKind, ReadingView, Scale, TableRows};
use crate::ui::shortcuts::Action;

/// The command of an action about reading.
pub fn command(reading: &ReadingView, action: &Action) -> Command {
    let mut reading = reading.clone();
    match action {
        Action::CosineLens => {
            reading.lens = after(&[LensKind::Logit, LensKind::Cosine], reading.lens);
        }
        Action::TableOfAllTokens => {
            let all = [TableRows::Patches, TableRows::AllTokens];
            reading.rows = after(&all, reading.rows);
        }
        Action::GreyShared => reading.grey_shared = !reading.grey_shared,
        Action::NextScale => reading.scale = after(&Scale::ALL, reading.scale),
        Action::Normalise => reading.normalised = !reading.normalised,
        Action::SwapColours => {
            reading.colours = after(&[Colours::Viridis, Colours::Cividis], reading.colours);
        }
        _ => {}
    }
    Command::SetReading(reading)
}

/// The one after `now`, the first after the last.
fn after<T: Copy + PartialEq>(all: &[T], now: T) -> T {
    let at = all.iter().position(|one| *one == now).unwrap_or(0);
    all[(at + 1) % all.len()]
}
