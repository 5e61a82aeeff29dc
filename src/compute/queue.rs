//! Launches are recorded into one command encoder and submitted in portions of some milliseconds, of which few are under
//! way at a time: so the window gets its turn, no driver thinks the card hangs, and the caller can stop in between.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wgpu::{BufferUsages, CommandEncoder, ComputePass, PollType, SubmissionIndex};

use super::adapters::Kind;
use super::device::Shared;
use super::kernel::Kernel;
use super::pool::Slice;
use super::{ComputeError, Result};

/// Bytes of the uniform of one launch, and how many launches one submit can hold.
const UNIFORM: usize = 256;
const LAUNCHES: usize = 512;

/// Submits under way at most.
const UNDER_WAY: usize = 3;

/// How long one submit should take, how long the first one when the card has nothing to do (it doubles from there), and
/// the most that one launch should.
const PORTION: f64 = 5e-3;
const FIRST_PORTION: f64 = 0.3e-3;
const LONGEST: f64 = 50e-3;

/// A card that does not answer for so long is taken for lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes that are written before the writes are submitted: until then they take room twice.
const WRITTEN: u64 = 64 << 20;

struct Submit {
    index: SubmissionIndex,
    work: u64,
    at: Instant,
}

/// What is recorded and what is under way.
pub(super) struct Recorder {
    // The pass comes before the encoder so that it is dropped first.
    pass: Option<ComputePass<'static>>,
    encoder: Option<CommandEncoder>,
    /// Counts the submits.
    number: u64,
    uniform: wgpu::Buffer,
    uniforms: Vec<u32>,
    work: u64,
    written: u64,
    /// Seconds that the next submit should take.
    portion: f64,
    under_way: VecDeque<Submit>,
    /// Work that the card does in a second, as measured.
    rate: f64,
    last_done: Instant,
    read_back: Option<wgpu::Buffer>,
}

impl Recorder {
    pub fn new(device: &wgpu::Device, kind: Kind) -> Self {
        let uniform = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("uniforms"),
            size: (UNIFORM * LAUNCHES) as u64,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self {
            pass: None,
            encoder: None,
            number: 1,
            uniform,
            uniforms: Vec::new(),
            work: 0,
            written: 0,
            portion: FIRST_PORTION,
            under_way: VecDeque::new(),
            rate: match kind {
                Kind::Discrete => 5e12,
                Kind::Software => 5e9,
                _ => 5e11,
            },
            last_done: Instant::now(),
            read_back: None,
        }
    }

    fn encoder(&mut self, device: &wgpu::Device) -> &mut CommandEncoder {
        self.encoder
            .get_or_insert_with(|| device.create_command_encoder(&Default::default()))
    }

    fn pass(&mut self, device: &wgpu::Device) -> &mut ComputePass<'static> {
        let Self { pass, encoder, .. } = self;
        pass.get_or_insert_with(|| {
            let encoder =
                encoder.get_or_insert_with(|| device.create_command_encoder(&Default::default()));
            encoder
                .begin_compute_pass(&Default::default())
                .forget_lifetime()
        })
    }

    /// Submits what is recorded, then waits until no more than a few submits are under way.
    fn submit(&mut self, shared: &Shared) -> Result<()> {
        self.pass = None;
        if self.encoder.is_none() && self.written == 0 {
            return shared.check();
        }
        if !self.uniforms.is_empty() {
            shared
                .queue
                .write_buffer(&self.uniform, 0, bytemuck::cast_slice(&self.uniforms));
        }
        let index = shared
            .queue
            .submit(self.encoder.take().map(CommandEncoder::finish));
        self.under_way.push_back(Submit {
            index,
            work: self.work,
            at: Instant::now(),
        });
        self.number += 1;
        self.uniforms.clear();
        (self.work, self.written) = (0, 0);
        self.portion = (self.portion * 2.0).min(PORTION);
        while self.under_way.len() > UNDER_WAY {
            self.wait_for_oldest(shared)?;
        }
        shared.check()
    }

    fn wait_for_oldest(&mut self, shared: &Shared) -> Result<()> {
        let Some(oldest) = self.under_way.pop_front() else {
            return Ok(());
        };
        let asked = Instant::now();
        wait_until(&shared.device, oldest.index)?;
        let now = Instant::now();
        let took = now
            .duration_since(oldest.at.max(self.last_done))
            .as_secs_f64()
            .max(1e-6);
        let rate = oldest.work as f64 / took;
        // Where there was nothing to wait for, the portion was done earlier than is known, and the rate is at least this.
        let was_waited_for = now.duration_since(asked) > Duration::from_micros(200);
        self.last_done = now;
        if oldest.work > 0 && (rate > self.rate || was_waited_for) {
            self.rate = (self.rate * 0.7 + rate * 0.3).clamp(1e8, 1e15);
        }
        shared.check()
    }

    fn wait(&mut self, shared: &Shared) -> Result<()> {
        self.submit(shared)?;
        while !self.under_way.is_empty() {
            self.wait_for_oldest(shared)?;
        }
        self.portion = FIRST_PORTION;
        Ok(())
    }
}

fn wait_until(device: &wgpu::Device, index: SubmissionIndex) -> Result<()> {
    let poll = PollType::Wait {
        submission_index: Some(index),
        timeout: Some(PATIENCE),
    };
    let lost = |error| ComputeError::Lost(format!("it does not answer ({error})"));
    device.poll(poll).map(drop).map_err(lost)
}

impl Shared {
    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of what is being recorded.
    pub fn recording(&self) -> u64 {
        self.recorder().number
    }

    pub fn largest_work(&self) -> u64 {
        (self.recorder().rate * LONGEST) as u64
    }

    pub fn flush(&self) -> Result<()> {
        self.recorder().submit(self)
    }

    pub fn wait(&self) -> Result<()> {
        self.recorder().wait(self)
    }

    pub fn launch(
        &self,
        kernel: &Kernel,
        is_trusted: bool,
        bind: &[&Slice],
        params: &[u32],
        groups: [u32; 3],
        work: u64,
    ) -> Result<()> {
        self.check()?;
        check_launch(kernel, bind, params, groups)?;
        if groups.contains(&0) {
            return Ok(());
        }
        let pipeline = self.pipelines.get(&self.device, kernel, is_trusted)?;
        let mut recorder = self.recorder();
        let offset = recorder.uniforms.len() * 4;
        let bound = self.bind_group(&pipeline.layout, bind, &recorder.uniform);
        recorder
            .uniforms
            .extend(bind.iter().map(|slice| slice.first() as u32));
        recorder.uniforms.extend(params);
        recorder.uniforms.resize((offset + UNIFORM) / 4, 0);
        for slice in bind {
            slice.pooled.used.store(recorder.number, Ordering::Relaxed);
        }
        let pass = recorder.pass(&self.device);
        pass.set_pipeline(&pipeline.pipeline);
        pass.set_bind_group(0, &bound, &[offset as u32]);
        pass.dispatch_workgroups(groups[0], groups[1], groups[2]);
        // Nothing is so small that a submit could hold any number of it.
        recorder.work += work.max(10_000);
        let is_full = recorder.uniforms.len() * 4 >= UNIFORM * LAUNCHES;
        if is_full || recorder.work as f64 >= recorder.rate * recorder.portion {
            recorder.submit(self)?;
        }
        Ok(())
    }

    fn bind_group(
        &self,
        layout: &wgpu::BindGroupLayout,
        bind: &[&Slice],
        uniform: &wgpu::Buffer,
    ) -> wgpu::BindGroup {
        let mut entries = Vec::with_capacity(bind.len() + 1);
        for (binding, slice) in bind.iter().enumerate() {
            let resource = slice.pooled.buffer.as_entire_binding();
            entries.push(wgpu::BindGroupEntry {
                binding: binding as u32,
                resource,
            });
        }
        entries.push(wgpu::BindGroupEntry {
            binding: bind.len() as u32,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: uniform,
                offset: 0,
                size: std::num::NonZeroU64::new(UNIFORM as u64),
            }),
        });
        let descriptor = wgpu::BindGroupDescriptor {
            label: None,
            layout,
            entries: &entries,
        };
        self.device.create_bind_group(&descriptor)
    }

    pub fn write(&self, slice: &Slice, words: &[u32]) -> Result<()> {
        self.check()?;
        if words.len() > slice.len() {
            let what = format!("{} words do not fit into {}", words.len(), slice.len());
            return Err(ComputeError::Failed(what));
        }
        let mut recorder = self.recorder();
        // Writes overtake what is recorded but not submitted, so that must not use this very buffer.
        if slice.pooled.used.load(Ordering::Relaxed) >= recorder.number {
            recorder.submit(self)?;
        }
        let portion = WRITTEN as usize / 4;
        for (i, words) in words.chunks(portion).enumerate() {
            let offset = (slice.first() + i * portion) as u64 * 4;
            self.queue
                .write_buffer(&slice.pooled.buffer, offset, bytemuck::cast_slice(words));
            recorder.written += words.len() as u64 * 4;
            if recorder.written >= WRITTEN {
                recorder.submit(self)?;
            }
        }
        self.check()
    }

    pub fn download(&self, slice: &Slice) -> Result<Vec<u32>> {
        self.check()?;
        if slice.is_empty() {
            return Ok(Vec::new());
        }
        let size = slice.len() as u64 * 4;
        let mut recorder = self.recorder();
        let target = match recorder.read_back.take() {
            Some(buffer) if buffer.size() >= size => buffer,
            _ => self.buffer_for(
                size.next_power_of_two().max(4096).min(size.max(16 << 20)),
                BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            )?,
        };
        recorder.pass = None;
        let first = slice.first() as u64 * 4;
        let encoder = recorder.encoder(&self.device);
        encoder.copy_buffer_to_buffer(&slice.pooled.buffer, first, &target, 0, size);
        recorder.submit(self)?;
        let range = target.slice(..size);
        range.map_async(wgpu::MapMode::Read, |_| ());
        recorder.wait(self)?;
        let words = match range.get_mapped_range() {
            Ok(bytes) => bytemuck::pod_collect_to_vec(&bytes),
            Err(error) => {
                return Err(ComputeError::Failed(format!(
                    "nothing could be read back: {error}"
                )));
            }
        };
        target.unmap();
        if target.size() <= 64 << 20 {
            recorder.read_back = Some(target);
        }
        Ok(words)
    }
}

fn check_launch(kernel: &Kernel, bind: &[&Slice], params: &[u32], groups: [u32; 3]) -> Result<()> {
    let fail = |what: &str| {
        Err(ComputeError::Failed(format!(
            "the kernel {} {what}",
            kernel.name
        )))
    };
    if bind.len() != kernel.writes.len() {
        return fail("was given another number of buffers than it binds");
    }
    if (bind.len() + params.len()) * 4 > UNIFORM {
        return fail("was given too many parameters");
    }
    if groups.iter().any(|&n| n > 65535) {
        return fail("was given more than 65,535 workgroups in one dimension");
    }
    let is_written_twice = (0..bind.len()).any(|i| {
        kernel.writes[i] && (0..bind.len()).any(|j| i != j && bind[i].shares_buffer(bind[j]))
    });
    if is_written_twice {
        return fail("was given a buffer twice that it writes");
    }
    Ok(())
}
