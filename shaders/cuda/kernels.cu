// The CUDA bodies of the operations in src/model/ops: what candle has no kernel for, or only a slow one.
//
// Compiled to PTX for compute_80 by shaders/cuda/build.sh; the driver makes machine code of it on first use. Every kernel
// exists for f16, bf16 and f32 and computes in f32. Rows are independent: one block takes one row unless said otherwise.
// The products themselves are cuBLAS'.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math_constants.h>

typedef __half f16;
typedef __nv_bfloat16 bf16;
typedef float f32;
typedef unsigned char u8;

__device__ __forceinline__ float to_f32(f16 x) { return __half2float(x); }
__device__ __forceinline__ float to_f32(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float to_f32(f32 x) { return x; }
template <class T> __device__ __forceinline__ T from_f32(float x);
template <> __device__ __forceinline__ f16 from_f32<f16>(float x) { return __float2half(x); }
template <> __device__ __forceinline__ bf16 from_f32<bf16>(float x) { return __float2bfloat16(x); }
template <> __device__ __forceinline__ f32 from_f32<f32>(float x) { return x; }

__device__ __forceinline__ float warp_sum(float x) {
  for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(~0u, x, o);
  return x;
}
__device__ __forceinline__ float warp_max(float x) {
  for (int o = 16; o; o >>= 1) x = fmaxf(x, __shfl_xor_sync(~0u, x, o));
  return x;
}
// Over all threads of a block of 32 * WARPS; `shared` holds WARPS values.
template <int WARPS> __device__ float block_sum(float x, float *shared) {
  x = warp_sum(x);
  __syncthreads();
  if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = x;
  __syncthreads();
  float sum = 0.f;
  for (int i = 0; i < WARPS; i++) sum += shared[i];
  return sum;
}
template <int WARPS> __device__ float block_max(float x, float *shared) {
  x = warp_max(x);
  __syncthreads();
  if ((threadIdx.x & 31) == 0) shared[threadIdx.x >> 5] = x;
  __syncthreads();
  float max = -CUDART_INF_F;
  for (int i = 0; i < WARPS; i++) max = fmaxf(max, shared[i]);
  return max;
}

// sum = x + delta (x itself where there is no delta), normed = sum / rms(sum) * weight. [n, d]; normed may be null.
template <class T>
__device__ void add_rms_norm(const T *x, const T *delta, const T *weight, T *sum, T *normed, int d, float eps) {
  __shared__ float shared[8];
  const long row = (long)blockIdx.x * d;
  float squares = 0.f;
  for (int i = threadIdx.x; i < d; i += 256) {
    float value = to_f32(x[row + i]);
    if (delta) {
      const T rounded = from_f32<T>(value + to_f32(delta[row + i]));
      sum[row + i] = rounded;
      value = to_f32(rounded);
    }
    squares += value * value;
  }
  if (!normed) return;
  const float scale = rsqrtf(block_sum<8>(squares, shared) / d + eps);
  const T *from = delta ? sum : x;
  for (int i = threadIdx.x; i < d; i += 256)
    normed[row + i] = from_f32<T>(to_f32(from_f32<T>(to_f32(from[row + i]) * scale)) * to_f32(weight[i]));
}

// Where a thread of a split finds its head: parts q, k, v of [batch * n, (heads + 2 * kv_heads) * d_head] go to
// [batch * head, n, d_head] each, one after the other. blockIdx = (row of a sequence, head of a row, sequence).
__device__ __forceinline__ long split_target(int heads, int kv_heads, int n, int d_head, int *part) {
  const int head = blockIdx.y, batch = gridDim.z, sequence = blockIdx.z;
  if (head < heads) {
    *part = 0;
    return ((long)(sequence * heads + head) * n + blockIdx.x) * d_head;
  }
  *part = head < heads + kv_heads ? 1 : 2;
  const int at = head - heads - (*part - 1) * kv_heads;
  const long before = (long)batch * (heads + (*part - 1) * kv_heads);
  return ((before + sequence * kv_heads + at) * n + blockIdx.x) * d_head;
}

// q and k rotated (rotate-half) by f32 tables [n, d_head / 2]; without tables nothing is rotated.
template <class T>
__device__ void split_heads(const T *qkv, const float *cos, const float *sin, T *out, int heads, int kv_heads, int d_head) {
  int part;
  const int n = gridDim.x, half = d_head / 2;
  const long to = split_target(heads, kv_heads, n, d_head, &part);
  const T *from = qkv + ((long)(blockIdx.z * n + blockIdx.x) * gridDim.y + blockIdx.y) * d_head;
  const bool rotates = cos && part < 2;
  for (int i = threadIdx.x; i < half; i += blockDim.x) {
    const float a = to_f32(from[i]), b = to_f32(from[i + half]);
    const float c = rotates ? cos[blockIdx.x * half + i] : 1.f, s = rotates ? sin[blockIdx.x * half + i] : 0.f;
    out[to + i] = from_f32<T>(a * c - b * s);
    out[to + i + half] = from_f32<T>(b * c + a * s);
  }
}

// [batch * head, n, d_head] -> [batch * n, heads * d_head]. blockIdx = (row of a sequence, head, sequence).
template <class T> __device__ void merge_heads(const T *z, T *out, int d_head) {
  const long from = ((long)(blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x) * d_head;
  const long to = ((long)(blockIdx.z * gridDim.x + blockIdx.x) * gridDim.y + blockIdx.y) * d_head;
  for (int i = threadIdx.x; i < d_head; i += blockDim.x) out[to + i] = z[from + i];
}

// The first n_old positions of old [head, any, d_head] and then the n_added of added [head, n_added, d_head], from position
// `first` on; heads of old and out are so many elements apart. blockIdx = (position - first, head).
template <class T>
__device__ void append_positions(const T *old, const T *added, T *out, int first, int n_old, int n_added, long old_stride,
                                 long out_stride, int d_head) {
  const int at = first + blockIdx.x;
  const T *from = at < n_old ? old + blockIdx.y * old_stride + (long)at * d_head
                             : added + ((long)blockIdx.y * n_added + at - n_old) * d_head;
  T *to = out + blockIdx.y * out_stride + (long)at * d_head;
  for (int i = threadIdx.x; i < d_head; i += blockDim.x) to[i] = from[i];
}

// Softmax of scale * scores in place, [batch * head, query, key]; keys after a query, and those with 1 in `blocked`
// ([mask head, query, key]), become exactly 0. first_pos < 0: no key comes after a query. Up to KEPT * 128 keys stay in
// registers, longer rows are read again.
template <class T>
__device__ void masked_softmax(T *scores, const u8 *blocked, int mask_heads, int heads, int first_pos, int n_keys, float scale) {
  constexpr int KEPT = 8;
  __shared__ float shared[4];
  const int query = blockIdx.x, n = gridDim.x;
  const int seen = first_pos < 0 ? n_keys : min(first_pos + query + 1, n_keys);
  T *row = scores + ((long)blockIdx.y * n + query) * n_keys;
  const u8 *mask = blocked ? blocked + ((long)(blockIdx.y % heads % mask_heads) * n + query) * n_keys : nullptr;
  auto score = [&](int key) { return key < seen && !(mask && mask[key]) ? to_f32(row[key]) * scale : -CUDART_INF_F; };
  float kept[KEPT], max = -CUDART_INF_F, sum = 0.f;
#pragma unroll
  for (int c = 0; c < KEPT; c++) {
    kept[c] = score(c * 128 + threadIdx.x);
    max = fmaxf(max, kept[c]);
  }
  for (int key = KEPT * 128 + threadIdx.x; key < seen; key += 128) max = fmaxf(max, score(key));
  max = block_max<4>(max, shared);
#pragma unroll
  for (int c = 0; c < KEPT; c++) {
    kept[c] = kept[c] == -CUDART_INF_F ? 0.f : __expf(kept[c] - max);
    sum += kept[c];
  }
  for (int key = KEPT * 128 + threadIdx.x; key < seen; key += 128) sum += __expf(score(key) - max);
  const float inverse = 1.f / block_sum<4>(sum, shared);
#pragma unroll
  for (int c = 0; c < KEPT; c++) {
    const int key = c * 128 + threadIdx.x;
    if (key < n_keys) row[key] = from_f32<T>(kept[c] * inverse);
  }
  for (int key = KEPT * 128 + threadIdx.x; key < n_keys; key += 128) {
    const float x = score(key);
    row[key] = from_f32<T>(x == -CUDART_INF_F ? 0.f : __expf(x - max) * inverse);
  }
}

// silu(gate) * up of rows [n, 2 * d] that hold both. blockIdx.y is the row.
template <class T> __device__ void silu_mul(const T *gate_up, T *out, int d) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= d) return;
  const T *row = gate_up + (long)blockIdx.y * 2 * d;
  const float gate = to_f32(row[i]), up = to_f32(row[d + i]);
  out[(long)blockIdx.y * d + i] = from_f32<T>(gate / (1.f + __expf(-gate)) * up);
}

// x + y, elementwise, y repeated every `period` elements.
template <class T> __device__ void add(const T *x, const T *y, T *out, long n, long period) {
  const long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = from_f32<T>(to_f32(x[i]) + to_f32(y[i % period]));
}

// x * sigmoid(1.702 x)
template <class T> __device__ void quick_gelu(const T *x, T *out, long n) {
  const long i = (long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float value = to_f32(x[i]);
  out[i] = from_f32<T>(value / (1.f + __expf(-1.702f * value)));
}

// Euclidean norm of each row of a, of b, and of a - b; without a b the two are the same. out [n, 3]
template <class T> __device__ void row_norms(const T *a, const T *b, float *out, int d) {
  __shared__ float shared[8];
  const long row = (long)blockIdx.x * d;
  float own = 0.f, other = 0.f, apart = 0.f;
  for (int i = threadIdx.x; i < d; i += 256) {
    const float x = to_f32(a[row + i]), y = b ? to_f32(b[row + i]) : x;
    own += x * x;
    other += y * y;
    apart += (x - y) * (x - y);
  }
  own = block_sum<8>(own, shared);
  other = block_sum<8>(other, shared);
  apart = block_sum<8>(apart, shared);
  if (threadIdx.x == 0) {
    out[3 * blockIdx.x] = sqrtf(own);
    out[3 * blockIdx.x + 1] = sqrtf(other);
    out[3 * blockIdx.x + 2] = sqrtf(apart);
  }
}

// One warp a row: y[n] = W [n, k] x [k]; k is a multiple of 16 bytes.
template <class T, class O> __device__ void matvec(const T *weight, const T *x, O *y, int n, int k) {
  constexpr int VECTOR = 16 / sizeof(T);
  const int row = blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
  if (row >= n) return;
  const T *w = weight + (long)row * k;
  float sum = 0.f;
#pragma unroll 4
  for (int i = (threadIdx.x & 31) * VECTOR; i < k; i += 32 * VECTOR) {
    const uint4 ws = __ldcs((const uint4 *)(w + i)), xs = *(const uint4 *)(x + i);
    const T *a = (const T *)&ws, *b = (const T *)&xs;
#pragma unroll
    for (int j = 0; j < VECTOR; j++) sum = fmaf(to_f32(a[j]), to_f32(b[j]), sum);
  }
  sum = warp_sum(sum);
  if ((threadIdx.x & 31) == 0) y[row] = from_f32<O>(sum);
}

// Reads rows of f32 logits in one pass: the K best of the first n_words, log-sum-exp and entropy over all of vocab.
// out [n, 2 * K + 2]: K ids as bits, K probabilities, log-sum-exp, entropy in nats. Best first; ties by the smaller id.
template <int K> __device__ void read_logits(const float *logits, float *out, int vocab, int n_words) {
  constexpr int THREADS = 256, WARPS = THREADS / 32;
  const float *row = logits + (long)blockIdx.x * vocab;
  float best[K];
  int ids[K];
#pragma unroll
  for (int k = 0; k < K; k++) { best[k] = -CUDART_INF_F; ids[k] = 0x7fffffff; }
  float max = -CUDART_INF_F, sum = 0.f, weighted = 0.f;
  auto keep = [&](float x, int id) {
    if (x <= best[K - 1] || id >= n_words) return;
#pragma unroll
    for (int k = 0; k < K; k++)
      if (x > best[k]) {
        const float value = best[k];
        const int other = ids[k];
        best[k] = x;
        ids[k] = id;
        x = value;
        id = other;
      }
  };
  auto raise = [&](float to) {
    const float shrink = __expf(max - to);
    sum *= shrink;
    weighted *= shrink;
    max = to;
  };
  auto count = [&](float x) {
    const float e = __expf(x - max);
    sum += e;
    weighted = fmaf(e, x, weighted);
  };
  if (vocab % 4 == 0) {
    for (int i = threadIdx.x * 4; i < vocab; i += THREADS * 4) {
      const float4 four = *(const float4 *)(row + i);
      const float highest = fmaxf(fmaxf(four.x, four.y), fmaxf(four.z, four.w));
      if (highest > max) raise(highest);
      count(four.x);
      count(four.y);
      count(four.z);
      count(four.w);
      if (highest > best[K - 1]) {
        keep(four.x, i);
        keep(four.y, i + 1);
        keep(four.z, i + 2);
        keep(four.w, i + 3);
      }
    }
  } else {
    for (int i = threadIdx.x; i < vocab; i += THREADS) {
      const float x = row[i];
      if (x > max) raise(x);
      count(x);
      keep(x, i);
    }
  }
  __shared__ float shared[WARPS];
  __shared__ int shared_ids[WARPS];
  const float all_max = block_max<WARPS>(max, shared);
  const float shrink = max == -CUDART_INF_F ? 0.f : __expf(max - all_max);
  const float all_sum = block_sum<WARPS>(sum * shrink, shared);
  const float all_weighted = block_sum<WARPS>(weighted * shrink, shared);
  const float log_sum_exp = all_max + logf(all_sum);
  float *to = out + (long)blockIdx.x * (2 * K + 2);
  for (int k = 0; k < K; k++) {
    float x = best[0];
    int id = ids[0];
    for (int o = 16; o; o >>= 1) {
      const float other = __shfl_xor_sync(~0u, x, o);
      const int other_id = __shfl_xor_sync(~0u, id, o);
      if (other > x || (other == x && other_id < id)) { x = other; id = other_id; }
    }
    __syncthreads();
    if ((threadIdx.x & 31) == 0) { shared[threadIdx.x >> 5] = x; shared_ids[threadIdx.x >> 5] = id; }
    __syncthreads();
    x = shared[0];
    id = shared_ids[0];
    for (int w = 1; w < WARPS; w++)
      if (shared[w] > x || (shared[w] == x && shared_ids[w] < id)) { x = shared[w]; id = shared_ids[w]; }
    if (best[0] == x && ids[0] == id) {
#pragma unroll
      for (int j = 0; j < K - 1; j++) { best[j] = best[j + 1]; ids[j] = ids[j + 1]; }
      best[K - 1] = -CUDART_INF_F;
      ids[K - 1] = 0x7fffffff;
    }
    if (threadIdx.x == 0) {
      to[k] = __int_as_float(id);
      to[K + k] = __expf(x - log_sum_exp);
    }
  }
  if (threadIdx.x == 0) {
    to[2 * K] = log_sum_exp;
    to[2 * K + 1] = fmaxf(log_sum_exp - all_weighted / all_sum, 0.f);
  }
}

#define FOR_TYPE(T)                                                                                                          \
  extern "C" __global__ void __launch_bounds__(256) add_rms_norm_##T(const T *x, const T *delta, const T *weight, T *sum,    \
                                                                      T *normed, int d, float eps) {                         \
    add_rms_norm(x, delta, weight, sum, normed, d, eps);                                                                     \
  }                                                                                                                          \
  extern "C" __global__ void split_heads_##T(const T *qkv, const float *cos, const float *sin, T *out, int heads,            \
                                             int kv_heads, int d_head) {                                                     \
    split_heads(qkv, cos, sin, out, heads, kv_heads, d_head);                                                                \
  }                                                                                                                          \
  extern "C" __global__ void merge_heads_##T(const T *z, T *out, int d_head) { merge_heads(z, out, d_head); }                \
  extern "C" __global__ void append_positions_##T(const T *old, const T *added, T *out, int first, int n_old, int n_added,   \
                                                  long old_stride, long out_stride, int d_head) {                            \
    append_positions(old, added, out, first, n_old, n_added, old_stride, out_stride, d_head);                                \
  }                                                                                                                          \
  extern "C" __global__ void __launch_bounds__(128) masked_softmax_##T(T *scores, const u8 *blocked, int mask_heads,         \
                                                                        int heads, int first_pos, int n_keys, float scale) { \
    masked_softmax(scores, blocked, mask_heads, heads, first_pos, n_keys, scale);                                            \
  }                                                                                                                          \
  extern "C" __global__ void silu_mul_##T(const T *gate_up, T *out, int d) { silu_mul(gate_up, out, d); }                    \
  extern "C" __global__ void add_##T(const T *x, const T *y, T *out, long n, long period) { add(x, y, out, n, period); }     \
  extern "C" __global__ void quick_gelu_##T(const T *x, T *out, long n) { quick_gelu(x, out, n); }                           \
  extern "C" __global__ void __launch_bounds__(256) row_norms_##T(const T *a, const T *b, float *out, int d) {               \
    row_norms(a, b, out, d);                                                                                                 \
  }                                                                                                                          \
  extern "C" __global__ void __launch_bounds__(256) matvec_##T(const T *weight, const T *x, T *y, int n, int k) {            \
    matvec(weight, x, y, n, k);                                                                                              \
  }                                                                                                                          \
  extern "C" __global__ void __launch_bounds__(256) matvec_logits_##T(const T *weight, const T *x, float *y, int n, int k) { \
    matvec(weight, x, y, n, k);                                                                                              \
  }

FOR_TYPE(f16)
FOR_TYPE(bf16)
FOR_TYPE(f32)

#define FOR_K(K)                                                                                                             \
  extern "C" __global__ void __launch_bounds__(256) read_logits_##K(const float *logits, float *out, int vocab,              \
                                                                    int n_words) {                                           \
    read_logits<K>(logits, out, vocab, n_words);                                                                             \
  }

FOR_K(5)
FOR_K(10)
FOR_K(20)
