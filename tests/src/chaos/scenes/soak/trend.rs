//! The line through many points.

/// The mean; 0 of nothing.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0_f64), |(sum, count), value| {
        (sum + value, count + 1.0)
    });
    sum / count.max(1.0)
}

/// How much the second of each pair grows with the first, by least squares; 0 where that cannot be said.
pub(super) fn per_second(points: &[(f64, f64)]) -> f64 {
    let x = mean(points.iter().map(|point| point.0));
    let y = mean(points.iter().map(|point| point.1));
    let above: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_seen_through_noise() {
        let noisy = |n: u32| (f64::from(n), 3.0 + 0.5 * f64::from(n) + f64::from(n % 2));
        let points: Vec<_> = (0..1000).map(noisy).collect();
        assert!((per_second(&points) - 0.5).abs() < 1e-3);
        let flat: Vec<_> = (0..1000)
            .map(|n| (f64::from(n), f64::from(n % 7)))
            .collect();
        assert!(per_second(&flat).abs() < 1e-3);
        assert!(
            per_second(&[]).abs() < f64::EPSILON && per_second(&[(1.0, 1.0)]).abs() < f64::EPSILON
        );
    }
}
