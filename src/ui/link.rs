//! What panels point at: patches under the pointer in one are outlined in the others, and one can bring a patch into
//! the sight of all. Scratch of the window, kept in egui's memory; never saved.

use std::sync::Arc;

use egui::{Context, Id};

/// Who points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Picture,
    Table,
    Difference,
    Legend,
}

const N_PANELS: usize = 4;

#[derive(Clone, Default)]
struct Link {
    /// Row-major indices of the patches, and the frame in which they were told; one for each panel.
    pointed: [(Arc<Vec<usize>>, u64); N_PANELS],
    /// The patch that was asked for, and how often any was.
    revealed: Option<(usize, u64)>,
}

fn id() -> Id {
    Id::unique("patchglass link")
}

fn with<T>(ctx: &Context, change: impl FnOnce(&mut Link) -> T) -> T {
    ctx.data_mut(|data| change(data.get_temp_mut_or_default::<Link>(id())))
}

/// Tells what the pointer is over in a panel, in every frame in which the panel is drawn.
pub fn point(ctx: &Context, from: From, patches: Vec<usize>) {
    let frame = ctx.cumulative_frame_nr();
    // There may be several pictures: one that points at nothing must not undo what another points at.
    if from == From::Picture && patches.is_empty() {
        return;
    }
    let changed = with(ctx, |link| {
        let slot = &mut link.pointed[from as usize];
        let changed = *slot.0 != patches;
        if changed {
            slot.0 = Arc::new(patches);
        }
        slot.1 = frame;
        changed
    });
    // Panels that were drawn before this one see it in the next frame.
    if changed {
        ctx.request_repaint();
    }
}

/// What the other panels point at.
pub fn pointed(ctx: &Context, from: From) -> Vec<usize> {
    let frame = ctx.cumulative_frame_nr();
    with(ctx, |link| {
        let mut out = Vec::new();
        for (at, (patches, told)) in link.pointed.iter().enumerate() {
            // A panel that is closed points at nothing.
            if at != from as usize && told + 1 >= frame {
                out.extend(patches.iter().copied());
            }
        }
        out
    })
}

/// Asks all panels to bring a patch into sight.
pub fn reveal(ctx: &Context, patch: usize) {
    with(ctx, |link| {
        let n = link.revealed.map_or(0, |(_, n)| n);
        link.revealed = Some((patch, n + 1));
    });
    ctx.request_repaint();
}

/// The patch that was asked for last and the number of that request; a panel follows each number once.
pub fn revealed(ctx: &Context) -> Option<(usize, u64)> {
    with(ctx, |link| link.revealed)
}
