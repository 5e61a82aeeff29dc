//! The window's side of the hub: what was asked, how far a download is, and what to do next. Glue only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use egui::Context;

use super::PatchglassApp;
use crate::dialogs::{Fetching, HubNews};
use crate::session::Command;
use crate::ui::models_window::{Found, HubState};
use crate::ui::shortcuts::Action;

/// What is known of the model that is looked at, and the download that goes on.
#[derive(Default)]
pub struct Models {
    pub state: HubState,
    fetching: Option<Arc<Fetching>>,
}

impl Models {
    /// Takes in how far the download is.
    pub fn poll(&mut self) {
        if let (HubState::Fetching(_, n), Some(fetching)) = (&mut self.state, &self.fetching) {
            *n = fetching.n.load(Ordering::Relaxed);
        }
    }

    fn found(&self) -> Option<Found> {
        match &self.state {
            HubState::Listed(found) | HubState::Fetching(found, _) | HubState::Paused(found, _) => {
                Some(found.clone())
            }
            _ => None,
        }
    }
}

impl PatchglassApp {
    pub(super) fn ask_hub(&mut self, ctx: &Context, action: Action) {
        match action {
            Action::UseModel(model) => {
                self.panels.show_models = false;
                self.commands.send(Command::SetModel(model));
            }
            Action::LookUpModel(id) => {
                self.models.state = HubState::Asking(id.clone());
                self.dialogs.look_up(id);
            }
            Action::FetchModel => {
                if let Some(found) = self.models.found() {
                    let fetching = Arc::new(Fetching::default());
                    self.models.fetching = Some(fetching.clone());
                    self.dialogs.fetch(found.listing.clone(), fetching);
                    let there = found.there;
                    self.models.state = HubState::Fetching(found, there);
                }
            }
            Action::PauseFetch => {
                if let Some(fetching) = &self.models.fetching {
                    fetching.pause.store(true, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        ctx.request_repaint();
    }

    pub(super) fn take_hub_news(&mut self, news: HubNews) {
        let models = &mut self.models;
        models.state = match (news, models.found()) {
            (HubNews::Listed(listing, there, memory), _) => HubState::Listed(Found {
                listing,
                there,
                memory,
            }),
            (HubNews::Fetched(id), _) => HubState::Done(id),
            (HubNews::Paused(there), Some(found)) => HubState::Paused(found, there),
            (HubNews::Paused(_), None) => HubState::Nothing,
            (HubNews::Failed(error, there), found) => {
                self.runs.show_error(error.to_string());
                match found {
                    Some(found) => HubState::Paused(found, there),
                    None => HubState::Nothing,
                }
            }
        };
    }
}
