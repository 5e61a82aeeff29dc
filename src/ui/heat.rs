//! The heat map on screen: that of a run, as exports show it, or that of a sweep; and its name.
//!
//! Unknown values are NaN. It draws nothing but the colour scale of the legends.

mod text;

use egui::{Mesh, Rect, pos2};

pub use self::text::{explanation, label, note, number_text, short_unit, unit};
use super::ViewCtx;
use super::sweep_view::above_noise;
use super::theme::over_picture;
use crate::engine::sweep::Sweep;
use crate::export::map;
pub use crate::export::map::{Heat, above_floor, is_better, with_zero, word_values, zero_in};
use crate::render::colormap::Palette;
use crate::session::{HeatKind, Measure};
use crate::spec::SweepKind;

/// The heat map of the level on screen; `None` when it is off or nothing is read yet.
pub fn of_view(ctx: &ViewCtx<'_>) -> Option<Heat> {
    let view = &ctx.session.view;
    if view.heat == HeatKind::Importance {
        let sweep = ctx.sweep(SweepKind::Patches)?;
        return Some(of_sweep(sweep, view.sweep.measure).on_scale_of(&view.reading));
    }
    if matches!(view.heat, HeatKind::Attention | HeatKind::Attribution) {
        return super::inside_view::heat(ctx);
    }
    let shown = ctx.shown()?;
    map::of_run(view, shown.trace, shown.run, ctx.level())
}

/// The importance of the patches: what the watched token loses without them.
pub fn of_sweep(sweep: &Sweep, measure: Measure) -> Heat {
    let losses = sweep.patch_losses(|effect| measure.of(effect));
    let values: Vec<f32> = losses
        .into_iter()
        .map(|loss| above_noise(loss, sweep, measure))
        .collect();
    let range = with_zero(&values, measure.of(&sweep.noise));
    Heat::new(HeatKind::Importance, values, range)
}

/// The colour scale from left to right.
pub fn scale_mesh(bar: Rect, palette: Palette) -> Mesh {
    let mut mesh = Mesh::default();
    let n = 48;
    for i in 0..=n {
        let t = i as f32 / n as f32;
        let color = over_picture::rgb(palette.color(t, (0.0, 1.0)).unwrap_or_default());
        let x = bar.left() + t * bar.width();
        mesh.colored_vertex(pos2(x, bar.top()), color);
        mesh.colored_vertex(pos2(x, bar.bottom()), color);
        if i > 0 {
            let k = 2 * i;
            mesh.add_triangle(k - 2, k - 1, k);
            mesh.add_triangle(k - 1, k, k + 1);
        }
    }
    mesh
}
