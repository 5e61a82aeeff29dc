//! Known sets by hand, and properties on random ones.

use super::*;

const GRID: PatchGrid = PatchGrid::new(6, 7);

fn set(text: &str) -> PatchSet {
    text.parse().unwrap()
}

/// Random sets of every size, some of them with cells outside the grid.
fn random_sets() -> impl Iterator<Item = PatchSet> {
    let larger = PatchGrid::new(8, 9);
    (0..60).map(move |seed| match seed % 3 {
        0 => random(seed as usize, seed, larger),
        _ => random(seed as usize % 43, seed, GRID),
    })
}

fn cells(set: &PatchSet) -> BTreeSet<Patch> {
    GRID.patches().filter(|p| set.contains(*p)).collect()
}

#[test]
fn rings_by_hand() {
    assert_eq!(grow(&set("r2c3"), GRID), set("r1c2-r3c4"));
    assert_eq!(grow(&grow(&set("r2c3"), GRID), GRID), set("r0c1-r4c5"));
    assert_eq!(grow(&set("r0c0"), GRID), set("r0c0-r1c1"));
    assert_eq!(shrink(&set("r1c2-r3c4"), GRID), set("r2c3"));
    assert_eq!(shrink(&set("r0c0-r1c1"), GRID), set("r0c0"));
    assert_eq!(shrink(&PatchSet::All, GRID), PatchSet::All);
    assert_eq!(grow(&PatchSet::default(), GRID), PatchSet::default());
    assert_eq!(last_row(GRID), set("r5c0-r5c6"));
    assert_eq!(invert(&PatchSet::default(), GRID), PatchSet::All);
    // A cell of a larger grid grows into nothing of this one.
    assert_eq!(grow(&set("r6c3"), GRID), PatchSet::default());
}

#[test]
fn growing_is_the_dual_of_shrinking() {
    for set in random_sets() {
        let (grown, shrunk) = (grow(&set, GRID), shrink(&set, GRID));
        assert_eq!(invert(&grow(&invert(&set, GRID), GRID), GRID), shrunk);
        assert!(cells(&grown).is_superset(&cells(&set)));
        assert!(cells(&shrunk).is_subset(&cells(&set)));
        for patch in GRID.patches() {
            let near = cells(&set).into_iter().any(|other| {
                patch.row.abs_diff(other.row) <= 1 && patch.col.abs_diff(other.col) <= 1
            });
            assert_eq!(grown.contains(patch), near, "{set}: {patch}");
        }
        let opened = grow(&shrink(&set, GRID), GRID);
        assert!(cells(&opened).is_subset(&cells(&set)));
    }
}

#[test]
fn sets_obey_the_laws_of_sets() {
    let sets: Vec<_> = random_sets().collect();
    for (a, b) in sets.iter().zip(sets.iter().rev()) {
        assert_eq!(cells(&invert(&invert(a, GRID), GRID)), cells(a));
        assert_eq!(
            cells(&union(a, b, GRID)),
            cells(a).union(&cells(b)).copied().collect()
        );
        assert_eq!(
            cells(&minus(a, b, GRID)),
            cells(a).difference(&cells(b)).copied().collect()
        );
        let parts = union(&minus(a, b, GRID), &minus(b, a, GRID), GRID);
        assert!(parts.indices(GRID).is_ok(), "all of it lies in the grid");
    }
}

#[test]
fn chance_has_the_size_and_the_seed() {
    for n in 0..=45 {
        let drawn = random(n, 7, GRID);
        assert_eq!(drawn.count(GRID), n.min(42));
        assert_eq!(drawn, random(n, 7, GRID));
        assert!(drawn.indices(GRID).is_ok());
    }
    let pool = set("r1c1-r3c3");
    let drawn = random_among(&pool, 4, 1, GRID);
    assert!(cells(&drawn).is_subset(&cells(&pool)) && drawn.count(GRID) == 4);
    assert_ne!(random(10, 1, GRID), random(10, 2, GRID));
}

#[test]
fn chance_prefers_no_patch() {
    let mut hits = [0u32; 42];
    for seed in 0..4200 {
        for index in random(6, seed, GRID).indices(GRID).unwrap() {
            hits[index] += 1;
        }
    }
    // 600 each are expected; the standard deviation is 23.
    assert!(hits.iter().all(|n| (480..720).contains(n)), "{hits:?}");
}

#[test]
fn thresholds_take_their_side() {
    let grid = PatchGrid::new(1, 4);
    let values = [0.1, 0.5, f32::NAN, 0.9];
    assert_eq!(
        threshold(&values, 0.5, Side::Above, grid),
        set("r0c1, r0c3")
    );
    assert_eq!(threshold(&values, 0.5, Side::Below, grid), set("r0c0-r0c1"));
    assert_eq!(threshold(&values, 2.0, Side::Above, grid), set("none"));
}

#[test]
fn registers_stand_out_by_the_sample_deviation() {
    let grid = PatchGrid::new(2, 5);
    let mut norms = [1.0f32; 10];
    assert_eq!(registers(&norms, grid), set("none"));
    norms[7] = 9.0;
    assert_eq!(registers(&norms, grid), set("r1c2"));
    // Of six values one can lie at most 5 / sqrt(6) = 2.04 sample deviations above the mean, of five 4 / sqrt(5) = 1.79.
    let one_of = |n: usize| {
        let mut norms = vec![0.0; n];
        norms[0] = 1.0;
        registers(&norms, PatchGrid::new(1, n))
    };
    assert_eq!((one_of(6), one_of(5)), (set("r0c0"), set("none")));
    assert_eq!(registers(&[1.0], PatchGrid::new(1, 1)), set("none"));
}

#[test]
fn shapes_take_the_centres_inside() {
    let (a, b) = (Patch::new(3, 1), Patch::new(1, 4));
    assert_eq!(rectangle(a, b, GRID), set("r1c1-r3c4"));
    assert_eq!(
        rectangle(Patch::new(4, 5), Patch::new(99, 99), GRID),
        set("r4c5-r5c6")
    );
    let square = [(1.2, 1.2), (4.2, 1.2), (4.2, 3.2), (1.2, 3.2)];
    assert_eq!(lasso(&square, GRID), set("r1c1-r2c3"));
    let triangle = [(0.0, 0.0), (4.0, 0.0), (0.0, 4.0)];
    assert_eq!(lasso(&triangle, GRID), set("r0c0-r0c2, r1c0-r1c1, r2c0"));
    assert_eq!(lasso(&square[..2], GRID), set("none"));
    assert_eq!(lasso(&[], GRID), set("none"));
}

#[test]
fn a_lasso_around_a_rectangle_is_the_rectangle() {
    for seed in 0..40 {
        let corners = random(2, seed, GRID);
        let cells: Vec<Patch> = cells(&corners).into_iter().collect();
        let (a, b) = (cells[0], cells[1]);
        let (x0, x1) = (a.col.min(b.col), a.col.max(b.col) + 1);
        let (y0, y1) = (a.row.min(b.row), a.row.max(b.row) + 1);
        let at = |x: u16, y: u16| (f32::from(x), f32::from(y));
        let line = [at(x0, y0), at(x1, y0), at(x1, y1), at(x0, y1)];
        assert_eq!(lasso(&line, GRID), rectangle(a, b, GRID));
    }
}

#[test]
fn the_middle_of_a_set() {
    assert_eq!(centre(&set("r1c2-r3c4"), GRID), Some((2.0, 3.0)));
    assert_eq!(centre(&PatchSet::default(), GRID), None);
    assert_eq!(centre(&PatchSet::All, GRID), Some((2.5, 3.0)));
}
