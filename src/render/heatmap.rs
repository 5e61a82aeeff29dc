//! The pipeline of `shaders/heatmap.wgsl`: heat and grid lines over whatever was painted before.
//!
//! The picture itself is an ordinary texture of the window; where there is no adapter, the window paints the cells
//! by itself and this file is not used.

use std::sync::Arc;

use eframe::egui_wgpu::{CallbackResources, CallbackTrait, RenderState, ScreenDescriptor, wgpu};

use super::colormap::{self, Palette};

/// The shader's source.
pub const WGSL: &str = include_str!("../../shaders/heatmap.wgsl");
/// Bytes of the shader's parameters, for the test that compares both sides.
pub const PARAMS_SIZE: usize = std::mem::size_of::<gpu_data::Params>();

mod gpu_data {
    /// Keep in sync with `Params` in `shaders/heatmap.wgsl`.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
    pub struct Params {
        pub origin: [i32; 2],
        pub side: i32,
        pub opacity: f32,
        pub grid: [i32; 2],
        pub range: [f32; 2],
        pub line: [f32; 4],
    }
}

/// Values of the cells, row-major; a new `revision` means that they must be uploaded again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatValues {
    pub revision: u64,
    pub rows: usize,
    pub cols: usize,
    /// Not a number where unknown.
    pub values: Vec<f32>,
}

/// Draws the heat map in its rectangle.
#[derive(Clone, Debug)]
pub struct HeatCallback {
    pub values: Arc<HeatValues>,
    /// Top left corner of the picture, in physical pixels of the frame.
    pub origin: [i32; 2],
    /// Side of the picture, in physical pixels.
    pub side: i32,
    pub opacity: f32,
    pub range: (f32, f32),
    pub palette: Palette,
    /// Straight RGBA of the grid lines, 0..=1.
    pub line: [f32; 4],
}

/// What lives on the device; kept in the renderer's resources.
pub struct HeatGpu {
    pipeline: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
    params: wgpu::Buffer,
    colors: wgpu::Texture,
    colormap: wgpu::TextureView,
    palette: Palette,
    heat: Option<Uploaded>,
}

/// The heat texture of one grid, and what was written into it last.
struct Uploaded {
    texture: wgpu::Texture,
    bind_group: wgpu::BindGroup,
    revision: u64,
}

/// Builds the pipeline and puts it where [`HeatCallback`] finds it.
pub fn install(render_state: &RenderState) {
    let gpu = HeatGpu::new(render_state);
    render_state.renderer.write().callback_resources.insert(gpu);
}

impl HeatGpu {
    fn new(render_state: &RenderState) -> Self {
        let (device, queue) = (&render_state.device, &render_state.queue);
        let layout = bind_group_layout(device);
        let size = (colormap::N_COLORS as u32, 1);
        let colors = texture(device, size, wgpu::TextureFormat::Rgba8Unorm);
        let palette = Palette::default();
        write(queue, &colors, &palette.texels());
        Self {
            pipeline: pipeline(device, &layout, render_state.target_format),
            layout,
            params: device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("heatmap params"),
                size: PARAMS_SIZE as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }),
            colormap: colors.create_view(&wgpu::TextureViewDescriptor::default()),
            colors,
            palette,
            heat: None,
        }
    }

    /// Uploads the values unless the device has them already.
    fn upload(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, heat: &HeatValues) {
        let size = (heat.cols as u32, heat.rows as u32);
        if size.0 == 0 || size.1 == 0 || heat.values.len() != heat.rows * heat.cols {
            self.heat = None;
            return;
        }
        let fits = |u: &Uploaded| (u.texture.width(), u.texture.height()) == size;
        let mut uploaded = match self.heat.take().filter(fits) {
            Some(uploaded) => uploaded,
            None => self.new_texture(device, size),
        };
        if uploaded.revision != heat.revision {
            write(queue, &uploaded.texture, bytemuck::cast_slice(&heat.values));
            uploaded.revision = heat.revision;
        }
        self.heat = Some(uploaded);
    }

    fn new_texture(&self, device: &wgpu::Device, size: (u32, u32)) -> Uploaded {
        let texture = texture(device, size, wgpu::TextureFormat::R32Float);
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("heatmap"),
            layout: &self.layout,
            entries: &[
                entry(0, self.params.as_entire_binding()),
                entry(1, wgpu::BindingResource::TextureView(&view)),
                entry(2, wgpu::BindingResource::TextureView(&self.colormap)),
            ],
        });
        Uploaded {
            texture,
            bind_group,
            revision: u64::MAX,
        }
    }
}

impl CallbackTrait for HeatCallback {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _screen: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        if let Some(gpu) = resources.get_mut::<HeatGpu>() {
            gpu.upload(device, queue, &self.values);
            if gpu.palette != self.palette {
                write(queue, &gpu.colors, &self.palette.texels());
                gpu.palette = self.palette;
            }
            let params = gpu_data::Params {
                origin: self.origin,
                side: self.side.max(1),
                opacity: self.opacity,
                grid: [self.values.cols as i32, self.values.rows as i32],
                range: [self.range.0, self.range.1],
                line: self.line,
            };
            queue.write_buffer(&gpu.params, 0, bytemuck::bytes_of(&params));
        }
        Vec::new()
    }

    fn paint(
        &self,
        _info: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        resources: &CallbackResources,
    ) {
        if let Some(gpu) = resources.get::<HeatGpu>()
            && let Some(heat) = &gpu.heat
        {
            pass.set_pipeline(&gpu.pipeline);
            pass.set_bind_group(0, &heat.bind_group, &[]);
            pass.draw(0..3, 0..1);
        }
    }
}

fn bind_group_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty,
        count: None,
    };
    let texture = wgpu::BindingType::Texture {
        // R32Float cannot be filtered on every device; textureLoad does not need it.
        sample_type: wgpu::TextureSampleType::Float { filterable: false },
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    };
    let uniform = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("heatmap"),
        entries: &[entry(0, uniform), entry(1, texture), entry(2, texture)],
    })
}

fn pipeline(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    format: wgpu::TextureFormat,
) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("heatmap.wgsl"),
        source: wgpu::ShaderSource::Wgsl(WGSL.into()),
    });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("heatmap"),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    let target = wgpu::ColorTargetState {
        format,
        blend: Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING),
        write_mask: wgpu::ColorWrites::ALL,
    };
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("heatmap"),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("vs_main"),
            buffers: &[],
            compilation_options: wgpu::PipelineCompilationOptions::default(),
        },
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("fs_main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(target)],
        }),
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        multiview_mask: None,
        cache: None,
    })
}

fn texture(
    device: &wgpu::Device,
    (width, height): (u32, u32),
    format: wgpu::TextureFormat,
) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some("heatmap"),
        size: wgpu::Extent3d {
            width,
            height,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    })
}

/// Both formats that are used here have four bytes per texel.
fn write(queue: &wgpu::Queue, texture: &wgpu::Texture, bytes: &[u8]) {
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(texture.width() * 4),
        rows_per_image: None,
    };
    queue.write_texture(texture.as_image_copy(), bytes, layout, texture.size());
}
