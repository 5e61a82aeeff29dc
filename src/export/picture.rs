//! The view as a picture file: the patches with heat, words and marks, and beneath them a legend that says what it is.
//!
//! Drawn without a window, on white, so that it can stand in a paper. One pixel of the scale is a point of print.

use image::RgbImage;
use image::imageops::{FilterType, resize};

use super::canvas::Canvas;
use super::heat::{self, HeatMap};
use super::marks::{self, Place};
use crate::engine::trace::{LevelReadout, Trace};
use crate::error::{Error, Result};
use crate::index::PatchSet;
use crate::labels::{level_label, number};
use crate::session::Session;
use crate::spec::Intervention;
use crate::wording::{Facts, describe};
use crate::words_png;

const PAPER: [u8; 3] = [0xff, 0xff, 0xff];
const INK: [u8; 3] = [0x1c, 0x1e, 0x22];
const WEAK: [u8; 3] = [0x5d, 0x61, 0x6b];
/// Width of the patches at scale 1, about.
const SIDE: usize = 720;
const MARGIN: usize = 16;
const LINE: usize = 18;
const TEXT: f32 = 14.0;

/// What of a trace the picture shows.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub level: usize,
    /// The clean run in place of the edited one.
    pub clean: bool,
    pub heat: Option<HeatMap>,
    /// Of the heat map, 0..=1.
    pub opacity: f32,
    pub words: bool,
    pub grid: bool,
    pub interventions: Vec<Intervention>,
    pub selection: PatchSet,
    pub question: String,
}

impl View {
    /// As the session looks at the trace, with the level and its heat map.
    pub fn of(session: &Session, trace: &Trace, level: Option<usize>) -> Self {
        let view = &session.view;
        // The session may have been looked at with a deeper model.
        let own = view.level.unwrap_or(trace.model.default_level);
        let level = level.unwrap_or(own.min(trace.model.n_layers));
        Self {
            level,
            clean: view.show_clean,
            heat: heat::of_view(view, trace, level),
            opacity: view.opacity,
            words: view.show_words,
            grid: view.show_grid,
            interventions: session.experiment.active().cloned().collect(),
            selection: view.selection.clone(),
            question: session.experiment.prompt.clone(),
        }
    }

    fn readout<'a>(&self, trace: &'a Trace) -> Option<&'a LevelReadout> {
        let run = match self.clean {
            true => &trace.baseline,
            false => &trace.edited,
        };
        run.levels.get(self.level)?.as_deref()
    }
}

/// Draws a view, 1 to 4 times as large as on an ordinary screen.
///
/// # Errors
/// A level that the model does not have or that is not read yet; another scale.
pub fn draw(trace: &Trace, view: &View, scale: usize) -> Result<RgbImage> {
    if !(1..=4).contains(&scale) {
        return Err(Error::input(format!(
            "scale {scale}: a picture is drawn 1 to 4 times as large"
        )));
    }
    let readout = view.readout(trace).ok_or_else(|| {
        Error::input(format!(
            "level {}: this run has the levels 0..={}, read as far as it has come",
            view.level, trace.model.n_layers
        ))
    })?;
    let grid = trace.model.grid;
    let cell = scale * (SIDE / grid.cols.max(1)).max(1);
    let width = cell * grid.cols + 2 * MARGIN * scale;
    let measure = Canvas::new(1, 1, PAPER);
    let room = (width - 2 * MARGIN * scale) as f32;
    let lines = legend(trace, view, &measure, room, scale);
    let top = (MARGIN + 2 * LINE + 8) * scale;
    let n_bar = if view.heat.is_some() { 2 * LINE + 4 } else { 0 };
    let below = (12 + n_bar + lines.len() * LINE + MARGIN) * scale;
    let mut canvas = Canvas::new(width, top + cell * grid.rows + below, PAPER);
    let place = Place {
        left: MARGIN * scale,
        top,
        cell,
        grid,
        line: scale,
    };
    head(&mut canvas, trace, view, scale);
    patches(&mut canvas, trace, (view, readout), place);
    let mut y = top + cell * grid.rows + 12 * scale;
    if let Some(heat) = &view.heat {
        color_bar(&mut canvas, heat, (place.left, y), scale);
        y += n_bar * scale;
    }
    for (line, color) in lines {
        canvas.text((place.left, y), &line, TEXT * scale as f32, color);
        y += LINE * scale;
    }
    Ok(canvas.image)
}

/// PNG of a view.
///
/// # Errors
/// As [`draw`].
pub fn png(trace: &Trace, view: &View, scale: usize) -> Result<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    draw(trace, view, scale)?
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(Error::internal)?;
    Ok(bytes.into_inner())
}

/// Two lines above the patches: which picture and model, which level and run.
fn head(canvas: &mut Canvas, trace: &Trace, view: &View, scale: usize) {
    let left = MARGIN * scale;
    let size = TEXT * scale as f32;
    let level = format!(
        "Level {} of {} · {}",
        view.level,
        trace.model.n_layers,
        level_label(view.level, trace.model.n_layers)
    );
    canvas.text((left, MARGIN * scale), &level, 1.3 * size, INK);
    let run = match (trace.has_edits, view.clean) {
        (false, _) => "clean run",
        (true, true) => "clean run, before the interventions",
        (true, false) => "run with interventions",
    };
    let names = format!("{} · {} · {run}", trace.picture.name, trace.model.name);
    let top = (MARGIN + LINE + 6) * scale;
    canvas.text((left, top), &names, size, WEAK);
}

/// Picture, heat, grid, words and marks.
fn patches(
    canvas: &mut Canvas,
    trace: &Trace,
    (view, readout): (&View, &LevelReadout),
    place: Place,
) {
    let (width, height) = (place.cell * place.grid.cols, place.cell * place.grid.rows);
    let side = trace.picture.size as u32;
    if let Some(seen) = RgbImage::from_raw(side, side, trace.picture.rgb.clone()) {
        let seen = resize(&seen, width as u32, height as u32, FilterType::Triangle);
        image::imageops::replace(
            &mut canvas.image,
            &seen,
            place.left as i64,
            place.top as i64,
        );
    }
    let cell_at = |patch: usize| {
        let at = place.grid.patch(patch);
        (
            place.left + usize::from(at.col) * place.cell,
            place.top + usize::from(at.row) * place.cell,
        )
    };
    for patch in 0..place.grid.len() {
        let (left, top) = cell_at(patch);
        let area = (left, top, place.cell, place.cell);
        let heat = view.heat.as_ref();
        let known = heat.and_then(|h| Some((h, h.place(patch)?)));
        match known {
            // As in the window: low values let more of the picture through.
            Some((heat, t)) => canvas.fill(area, heat.color(t), view.opacity * (0.3 + 0.7 * t)),
            None if view.words => canvas.fill(area, [0; 3], 0.38),
            None => {}
        }
        if view.grid {
            canvas.fill((left, top, place.cell, place.line), [0; 3], 0.18);
            canvas.fill((left, top, place.line, place.cell), [0; 3], 0.18);
        }
    }
    let rows: Vec<_> = match view.clean {
        true => Vec::new(),
        false => view.interventions.iter().collect(),
    };
    marks::below_words(canvas, place, &rows);
    if view.words {
        let word = |patch| {
            let (id, prob) = readout.top(patch).next().unwrap_or_default();
            (trace.model.vocabulary.short(id).into_owned(), prob)
        };
        let words: Vec<_> = (0..place.grid.len()).map(word).collect();
        let origin = (place.left, place.top);
        words_png::draw_words(&mut canvas.image, origin, place.grid, &words, place.cell);
    }
    marks::above_words(canvas, place, &rows, &view.selection);
}

/// The colour scale with the numbers of its ends and its middle.
fn color_bar(canvas: &mut Canvas, heat: &HeatMap, (left, top): (usize, usize), scale: usize) {
    let (width, height) = (280 * scale, 12 * scale);
    for x in 0..width {
        let t = x as f32 / (width - 1) as f32;
        canvas.fill((left + x, top, 1, height), heat.color(t), 1.0);
    }
    let size = 0.9 * TEXT * scale as f32;
    let (low, high) = heat.range;
    for (t, value) in [(0.0, low), (0.5, heat.middle), (1.0, high)] {
        let text = number(value);
        let at = t * (width as f32 - canvas.text_width(&text, size));
        let below = top + height + 2 * scale;
        canvas.text((left + at as usize, below), &text, size, WEAK);
    }
    let title = left + width + 12 * scale;
    canvas.text((title, top), &heat.title, TEXT * scale as f32, INK);
}

/// The lines beneath: question, answers, interventions.
fn legend(
    trace: &Trace,
    view: &View,
    measure: &Canvas,
    room: f32,
    scale: usize,
) -> Vec<(String, [u8; 3])> {
    let mut texts = vec![(format!("Question: {}", view.question), INK)];
    let answer = |of: &str, text: &str| (format!("{of}: {text}"), INK);
    let (before, after) = (&trace.baseline.answer, &trace.edited.answer);
    match trace.has_edits {
        _ if before.ids.is_empty() => {}
        true => texts.extend([
            answer("Answer before", &before.text),
            answer("Answer after", &after.text),
        ]),
        false => texts.push(answer("Answer", &before.text)),
    }
    let facts = Facts {
        grid: Some(trace.model.grid),
        n_layers: trace.model.n_layers,
        n_heads: trace.model.n_heads,
    };
    let rows = view.interventions.iter().map(|row| describe(row, facts));
    texts.extend(rows.map(|row| (format!("• {row}"), WEAK)));
    let size = TEXT * scale as f32;
    let wrapped = texts.into_iter().flat_map(|(text, color)| {
        let lines = measure.wrapped(&text, size, room);
        lines.into_iter().map(move |line| (line, color))
    });
    wrapped.collect()
}
