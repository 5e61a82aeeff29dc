// Sums and maxima over the 256 invocations of a workgroup, in three barriers. Every invocation must call them, and gets
// the result. Joined to the shaders that need it; `lane` is the local invocation index.
var<workgroup> of_lanes: array<f32, 256>;
var<workgroup> of_sixteen: array<f32, 16>;

fn group_sum(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  of_lanes[lane] = value;
  workgroupBarrier();
  if (lane < 16u) {
    var sum = 0.0;
    for (var i = 0u; i < 16u; i++) { sum += of_lanes[i * 16u + lane]; }
    of_sixteen[lane] = sum;
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < 16u; i++) { sum += of_sixteen[i]; }
  return sum;
}

fn group_max(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  of_lanes[lane] = value;
  workgroupBarrier();
  if (lane < 16u) {
    var most = of_lanes[lane];
    for (var i = 1u; i < 16u; i++) { most = max(most, of_lanes[i * 16u + lane]); }
    of_sixteen[lane] = most;
  }
  workgroupBarrier();
  var most = of_sixteen[0];
  for (var i = 1u; i < 16u; i++) { most = max(most, of_sixteen[i]); }
  return most;
}
