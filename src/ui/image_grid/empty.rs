//! What the panel shows before there is a picture: what is going on, or what failed and what to do.

use egui::{Align2, FontId, Painter, Rect, Stroke, StrokeKind, pos2, vec2};

use super::viewport::Viewport;
use crate::index::PatchGrid;
use crate::ui::{ViewCtx, theme::GRID};

/// Lines of the faint grid in the placeholder: it hints at what will be there.
const N_LINES: usize = 12;

/// Draws a calm square where the picture will be.
pub fn show(ctx: &ViewCtx<'_>, area: Rect, ui: &egui::Ui) {
    let grid = PatchGrid::new(N_LINES, N_LINES);
    let placed = Viewport::default().place(area, grid, ui.pixels_per_point());
    let rect = placed.rect();
    let painter = ui.painter();
    let theme = ctx.theme;
    painter.rect_filled(rect, 0.0, theme.panel);
    let faint = Stroke::new(placed.pixel(), theme.outline.gamma_multiply(0.35));
    for patch in grid.patches().filter(|p| p.row == p.col && p.row > 0) {
        let corner = placed.cell(patch).min;
        painter.vline(corner.x, rect.y_range(), faint);
        painter.hline(rect.x_range(), corner.y, faint);
    }
    let edge = Stroke::new(1.0, theme.outline);
    painter.rect_stroke(rect, 0.0, edge, StrokeKind::Inside);
    let (title, detail, fraction) = texts(ctx);
    let band = Rect::from_center_size(rect.center(), vec2(rect.width() - 2.0, 112.0));
    painter.rect_filled(band, 0.0, theme.panel);
    let color = if ctx.error.is_some() && ctx.progress.is_none() {
        theme.error
    } else {
        theme.text
    };
    let wide = band.width() - 8.0 * GRID;
    let title_font = FontId::proportional(17.0);
    let bottom = paragraph(
        painter,
        pos2(band.center().x, band.top() + 14.0),
        &title,
        title_font,
        color,
        wide,
    );
    let detail_font = FontId::proportional(13.0);
    let at = pos2(band.center().x, bottom + 2.0 * GRID);
    let bottom = paragraph(painter, at, &detail, detail_font, theme.text_weak, wide);
    if let Some(fraction) = fraction {
        let track = Rect::from_center_size(pos2(band.center().x, bottom + 14.0), vec2(200.0, 3.0));
        painter.rect_filled(track, 1.5, theme.outline);
        let mut done = track;
        done.set_width(track.width() * fraction.clamp(0.0, 1.0));
        painter.rect_filled(done, 1.5, theme.text);
    }
    let response = ui.interact(
        rect,
        ui.scope_id().with("placeholder"),
        egui::Sense::hover(),
    );
    let text = format!("{title}. {detail}");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &text));
}

/// Headline, what to do, how far.
fn texts(ctx: &ViewCtx<'_>) -> (String, String, Option<f32>) {
    let open = "Drop a picture onto the window, or choose File → Open picture.";
    match (&ctx.progress, ctx.error) {
        (Some((stage, fraction)), _) => {
            let detail = "The picture and its words appear here.".to_owned();
            (capitalised(stage.text()), detail, Some(*fraction))
        }
        (None, Some(error)) => (capitalised(error), open.to_owned(), None),
        (None, None) => ("No picture yet".to_owned(), open.to_owned(), None),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

/// Draws centred text that wraps; gives its lower edge.
fn paragraph(
    painter: &Painter,
    top: egui::Pos2,
    text: &str,
    font: FontId,
    color: egui::Color32,
    width: f32,
) -> f32 {
    let mut job = egui::text::LayoutJob::simple(text.to_owned(), font, color, width);
    job.halign = egui::Align::Center;
    let galley = painter.layout_job(job);
    let pos = Align2::CENTER_TOP
        .anchor_rect(Rect::from_min_size(top, vec2(0.0, 0.0)))
        .min;
    let bottom = top.y + galley.size().y;
    painter.galley(pos, galley, color);
    bottom
}
