//! The theme's tokens as an egui style, and the fonts. It names no colour of its own: all are mixed from the tokens.

use std::sync::Arc;

use egui::style::{Selection, WidgetVisuals, Widgets};
use egui::{Color32, CornerRadius, FontFamily, FontId, Margin, Stroke, TextStyle, Vec2, Visuals};

use super::theme::{GRID, Theme};

/// The three text sizes, in points.
pub const SMALL: f32 = 12.0;
pub const BODY: f32 = 14.0;
pub const LARGE: f32 = 18.0;

/// Gives the context our fonts and both styles; egui then follows the theme preference by itself.
pub fn install(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    ctx.add_glyph_rasterizer(super::glyphs::rasterizer());
    ctx.set_style_of(egui::Theme::Dark, style(&Theme::dark()));
    ctx.set_style_of(egui::Theme::Light, style(&Theme::light()));
}

/// Arrows and blocks are missing from the text font; the monospace one has them.
fn fonts() -> egui::FontDefinitions {
    let mut fonts = egui::FontDefinitions::default();
    if let Some(family) = fonts.families.get_mut(&FontFamily::Proportional)
        && !family.iter().any(|name| name == "Hack")
    {
        family.push("Hack".to_owned());
    }
    fonts
}

fn style(theme: &Theme) -> Arc<egui::Style> {
    let mut style = egui::Style::default();
    let proportional = |size| FontId::new(size, FontFamily::Proportional);
    style.text_styles = [
        (TextStyle::Small, proportional(SMALL)),
        (TextStyle::Body, proportional(BODY)),
        (TextStyle::Button, proportional(BODY)),
        (TextStyle::Heading, proportional(LARGE)),
        (
            TextStyle::Monospace,
            FontId::new(SMALL, FontFamily::Monospace),
        ),
    ]
    .into();
    style.drag_value_text_style = TextStyle::Monospace;
    style.animation_time = 0.0;
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.3;
    spacing(&mut style.spacing);
    style.visuals = visuals(theme);
    Arc::new(style)
}

fn spacing(spacing: &mut egui::style::Spacing) {
    spacing.item_spacing = Vec2::new(2.0 * GRID, GRID);
    spacing.button_padding = Vec2::new(2.0 * GRID, GRID);
    spacing.interact_size = Vec2::new(6.0 * GRID, 6.0 * GRID);
    spacing.window_margin = Margin::same(12);
    spacing.menu_margin = Margin::same(4);
    spacing.indent = 4.0 * GRID;
    spacing.icon_width = 4.0 * GRID;
    spacing.icon_width_inner = 2.0 * GRID;
    spacing.tooltip_width = 360.0;
    spacing.combo_width = 120.0;
}

fn visuals(theme: &Theme) -> Visuals {
    let mut v = if theme.dark {
        Visuals::dark()
    } else {
        Visuals::light()
    };
    let raised = |t: f32| theme.panel.lerp_to_gamma(theme.text, t);
    v.widgets = widgets(theme);
    v.selection = Selection {
        bg_fill: theme.accent_weak,
        stroke: Stroke::new(1.0, theme.text),
    };
    v.panel_fill = theme.panel;
    v.window_fill = raised(0.03);
    v.window_stroke = Stroke::new(1.0, theme.outline);
    v.window_corner_radius = CornerRadius::same(6);
    v.menu_corner_radius = CornerRadius::same(6);
    v.extreme_bg_color = theme.canvas;
    v.text_edit_bg_color = Some(field(theme));
    v.faint_bg_color = raised(0.03);
    v.code_bg_color = raised(0.08);
    v.hyperlink_color = theme.added;
    v.error_fg_color = theme.error;
    v.warn_fg_color = theme.accent;
    v.weak_text_color = Some(theme.text_weak);
    v.striped = false;
    v
}

/// Text fields lie lower than the panel in the dark and stand out as paper in the light.
fn field(theme: &Theme) -> Color32 {
    if theme.dark {
        theme.canvas
    } else {
        theme.panel.lerp_to_gamma(Color32::WHITE, 1.0)
    }
}

fn widgets(theme: &Theme) -> Widgets {
    let state = |fill: f32, stroke: Color32, text: Color32| WidgetVisuals {
        bg_fill: theme.panel.lerp_to_gamma(theme.text, fill + 0.09),
        weak_bg_fill: theme.panel.lerp_to_gamma(theme.text, fill),
        bg_stroke: Stroke::new(1.0, stroke),
        corner_radius: CornerRadius::same(4),
        fg_stroke: Stroke::new(1.0, text),
        expansion: 0.0,
    };
    let mut noninteractive = state(0.0, theme.outline, theme.text);
    noninteractive.bg_fill = theme.panel;
    let edge = theme.outline.lerp_to_gamma(theme.text_weak, 0.6);
    Widgets {
        noninteractive,
        inactive: state(0.05, theme.outline, theme.text),
        hovered: state(0.10, edge, theme.text),
        active: state(0.14, theme.accent, theme.text),
        open: state(0.10, edge, theme.text),
    }
}
