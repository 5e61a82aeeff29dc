//! Masks against brute force, against pycocotools, and against the mistakes of the paper's code.

use super::*;
use crate::index::Patch;

const GRID: PatchGrid = PatchGrid::new(24, 24);

fn seen(left: f64, top: f64, side: f64) -> SeenRect {
    SeenRect {
        left,
        top,
        width: side,
        height: side,
    }
}

fn polygon(flat: &[f64]) -> Mask {
    Mask::Polygons(vec![Polygon::from_flat(flat).unwrap()])
}

/// The share of each patch by points on a fine lattice.
fn by_points(flat: &[f64], seen: SeenRect, grid: PatchGrid, fine: usize) -> Vec<f64> {
    let corners: Vec<(f64, f64)> = flat.chunks(2).map(|p| (p[0], p[1])).collect();
    let is_inside = |x: f64, y: f64| {
        let next = corners.iter().cycle().skip(1);
        let crossed = corners.iter().zip(next).filter(|(a, b)| {
            (a.1 > y) != (b.1 > y) && x < a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0)
        });
        crossed.count() % 2 == 1
    };
    let share = |index: usize| {
        let (row, col) = (index / grid.cols, index % grid.cols);
        let at = |cell: usize, i: usize, n: usize| {
            (cell as f64 + (i as f64 + 0.5) / fine as f64) / n as f64
        };
        let points = (0..fine * fine).filter(|i| {
            let x = seen.left + at(col, i % fine, grid.cols) * seen.width;
            let y = seen.top + at(row, i / fine, grid.rows) * seen.height;
            is_inside(x, y)
        });
        points.count() as f64 / (fine * fine) as f64
    };
    (0..grid.len()).map(share).collect()
}

/// A star round a centre, whose corners may lie outside of what is seen.
fn star(seed: u64) -> Vec<f64> {
    use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut number =
        |low: f64, high: f64| low + (high - low) * f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let (x, y) = (number(0.0, 100.0), number(0.0, 80.0));
    let corners = (0..14).flat_map(|i| {
        let (angle, radius) = (
            f64::from(i) / 14.0 * std::f64::consts::TAU,
            number(2.0, 60.0),
        );
        [x + radius * angle.cos(), y + radius * angle.sin()]
    });
    corners.collect()
}

#[test]
fn polygons_agree_with_points_on_a_lattice() {
    let grid = PatchGrid::new(6, 6);
    for (seed, seen) in [
        (1, seen(10.0, 0.0, 80.0)),
        (2, seen(10.0, 0.0, 80.0)),
        (3, seen(0.0, -10.0, 100.0)),
        (4, seen(3.3, 1.0, 90.0)),
    ] {
        let flat = star(seed);
        let shares = polygon(&flat).shares(seen, grid);
        let points = by_points(&flat, seen, grid, 64);
        for (share, points) in shares.iter().zip(&points) {
            assert!((share - points).abs() < 0.02, "{seed}: {share} {points}");
        }
        // The comparison can fail: half a patch aside it does.
        let aside = polygon(&flat).shares(
            SeenRect {
                left: seen.left + 7.0,
                ..seen
            },
            grid,
        );
        let worst = aside
            .iter()
            .zip(&points)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(worst > 0.05, "{seed}: {worst}");
    }
}

/// The paper's code dropped corners outside the crop, which cut across the object's inside.
#[test]
fn corners_outside_the_crop_are_clipped_not_dropped() {
    // A triangle over the left half of a 400x200 picture, of which the square in the middle is seen.
    let triangle = polygon(&[0.0, 0.0, 300.0, 0.0, 0.0, 300.0]);
    let patches = triangle.patches(seen(100.0, 0.0, 200.0), PatchGrid::new(2, 2));
    let expected = ["r0c0", "r0c1", "r1c0"].map(|p| p.parse::<Patch>().unwrap());
    assert_eq!(patches, PatchSet::from_iter(expected));
    // All corners outside: everything that is seen is inside.
    let around = polygon(&[-9.0, -9.0, 900.0, -9.0, 900.0, 900.0, -9.0, 900.0]);
    assert_eq!(around.patches(seen(100.0, 0.0, 200.0), GRID), PatchSet::All);
}

/// The paper's code took `side // 24` pixels a patch, so that up to 23 pixels at the right and at the bottom had none.
#[test]
fn patches_are_exact_shares_of_what_is_seen() {
    let side = 24.0 * 20.0 + 23.0;
    let corner = polygon(&[side - 1.0, side - 1.0, side, side - 1.0, side, side]);
    assert_eq!(
        corner.patches(seen(0.0, 0.0, side), GRID),
        PatchSet::from_iter([Patch::new(23, 23)])
    );
    let middle = Mask::Bitmap(
        Bitmap::new(
            503,
            503,
            (0..503 * 503).map(|i| i == 251 * 503 + 251).collect(),
        )
        .unwrap(),
    );
    // Pixel 251 of 503 spans the middle of the picture, where four patches meet.
    let four = [(11, 11), (11, 12), (12, 11), (12, 12)].map(|(r, c)| Patch::new(r, c));
    assert_eq!(
        middle.patches(seen(0.0, 0.0, side), GRID),
        PatchSet::from_iter(four)
    );
}

#[test]
fn what_ends_at_an_edge_does_not_lie_on_the_next_patch() {
    let square = polygon(&[14.0, 14.0, 28.0, 14.0, 28.0, 28.0, 14.0, 28.0]);
    let one = PatchSet::from_iter([Patch::new(1, 1)]);
    assert_eq!(square.patches(seen(0.0, 0.0, 336.0), GRID), one);
    let inside =
        (0..336 * 336).map(|i| (14..28).contains(&(i % 336)) && (14..28).contains(&(i / 336)));
    let bitmap = Mask::Bitmap(Bitmap::new(336, 336, inside.collect()).unwrap());
    assert_eq!(bitmap.patches(seen(0.0, 0.0, 336.0), GRID), one);
    let share = bitmap.shares(seen(0.0, 0.0, 336.0), GRID)[25];
    assert!((share - 1.0).abs() < 1e-12, "{share}");
}

/// Padding makes the picture a part of what is seen: the rectangle starts before it.
#[test]
fn padding_moves_the_object() {
    let square = polygon(&[0.0, 0.0, 50.0, 0.0, 50.0, 50.0, 0.0, 50.0]);
    let set = square.patches(seen(0.0, -50.0, 200.0), PatchGrid::new(4, 4));
    assert_eq!(set, PatchSet::from_iter([Patch::new(1, 0)]));
}

/// What pycocotools 2.0 made of this mask.
const COMPRESSED: &str = "n01T10000000UO`0;0000F@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@O`01@Oc;6RE00000000000000000000000";

fn drawn() -> Vec<bool> {
    let inside = |x: usize, y: usize| {
        let body = (3..20).contains(&y) && (5..31).contains(&x);
        let hole = (10..14).contains(&y) && (8..40).contains(&x);
        (body && !hole) || ((25..37).contains(&y) && (40..53).contains(&x)) || (y == 30 && x < 5)
    };
    (0..37 * 53).map(|i| inside(i % 53, i / 53)).collect()
}

#[test]
fn compressed_run_lengths_are_those_of_pycocotools() {
    let bitmap = Rle::from_compressed([37, 53], COMPRESSED).unwrap().bitmap();
    assert_eq!(bitmap, Bitmap::new(53, 37, drawn()).unwrap());
    assert_eq!((bitmap.size(), bitmap.area()), ((53, 37), 511));
    for (size, text) in [
        ([37, 53], "n01T"),
        ([37, 52], COMPRESSED),
        ([37, 53], "\u{7f}"),
        ([1, 1], "oooooooooooooooo"),
    ] {
        assert!(Rle::from_compressed(size, text).is_err(), "{text}");
    }
}

#[test]
fn plain_run_lengths_go_down_the_columns() {
    let bitmap = Rle::new([2, 3], vec![1, 2, 3]).unwrap().bitmap();
    assert_eq!(
        bitmap,
        Bitmap::new(3, 2, vec![false, true, false, true, false, false]).unwrap()
    );
    assert!(Rle::new([2, 3], vec![1, 2]).is_err());
    assert!(Rle::new([usize::MAX, 3], vec![1, 2]).is_err());
}

#[test]
fn all_three_forms_of_coco_are_read() {
    let file = |segmentation: &str| {
        format!(
            r#"{{"info": {{}}, "images": [{{"id": 7, "file_name": "a.jpg", "width": 4, "height": 2, "license": 3}}],
                "categories": [{{"id": 1, "name": "cat", "supercategory": "animal"}}],
                "annotations": [{{"id": 5, "image_id": 7, "category_id": 1, "iscrowd": 0, "area": 4.0, "bbox": [0, 0, 2, 2],
                                 "segmentation": {segmentation}}}]}}"#
        )
    };
    let left_half = PatchSet::from_iter([Patch::new(0, 0)]);
    let rect = SeenRect {
        left: 0.0,
        top: 0.0,
        width: 4.0,
        height: 2.0,
    };
    for segmentation in [
        "[[0, 0, 2, 0, 2, 2, 0, 2]]",
        r#"{"size": [2, 4], "counts": [0, 4, 4]}"#,
        r#"{"size": [2, 4], "counts": "044"}"#,
    ] {
        let coco = Coco::from_json(&file(segmentation), "f.json").unwrap();
        let mask = coco.annotations[0].mask().unwrap();
        assert_eq!(
            mask.patches(rect, PatchGrid::new(1, 2)),
            left_half,
            "{segmentation}"
        );
        assert_eq!(coco.by_image()[&7].len(), 1);
        assert_eq!(coco.category(1).unwrap().supercategory, "animal");
    }
    let bad = Coco::from_json(&file("[[0, 0, 2, 0]]"), "f.json").unwrap();
    assert!(
        bad.annotations[0]
            .mask()
            .unwrap_err()
            .to_string()
            .contains("annotation 5")
    );
    let error = Coco::from_json(
        &file("[]").replace("\"category_id\": 1", "\"category_id\": 2"),
        "f.json",
    );
    assert!(error.unwrap_err().to_string().contains("category_id 2"));
    assert!(
        Coco::from_json("{}", "f.json")
            .unwrap_err()
            .to_string()
            .contains("f.json")
    );
}
