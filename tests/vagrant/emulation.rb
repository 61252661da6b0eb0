# What this test adds to the repository's Vagrantfile. Vagrant merges it from
# $VAGRANT_HOME: software emulation, and a network of qemu's own that needs no
# bridge, DHCP server or firewall rule. libvirt is the user's own daemon.

# The plugin looks for a guest's address in DHCP leases, of which there are none.
require "json"
require "vagrant-libvirt/driver"
VagrantPlugins::ProviderLibvirt::Driver.prepend(
  Module.new { def get_ipaddress(_domain = nil) = "127.0.0.1" }
)

# Ports of the machine to ports on this side.
forwards = JSON.parse(ENV.fetch("STACK_TEST_FORWARDS"))

Vagrant.configure("2") do |config|
  config.vm.box_check_update = false
  config.vm.boot_timeout = 900
  config.vm.graceful_halt_timeout = 300
  # Finding the guest's system out takes twenty round trips.
  config.vm.guest = :debian
  config.vm.allow_fstab_modification = false

  config.ssh.host = "127.0.0.1"
  config.ssh.port = forwards["22"]
  config.ssh.insert_key = false
  # A key exchange is slow under emulation.
  config.ssh.connect_timeout = 15

  config.vm.provider :libvirt do |libvirt|
    libvirt.uri = "qemu:///session"
    libvirt.system_uri = "qemu:///session"
    libvirt.qemu_use_session = true
    libvirt.mgmt_attach = false
    # The plugin asks for it where there is no managed network; nothing uses it.
    libvirt.qemu_use_agent = true
    libvirt.driver = "qemu"
    libvirt.machine_type = "q35"
    libvirt.cpu_mode = "custom"
    libvirt.cpu_model = "Nehalem"
    libvirt.graphics_type = "none"
    libvirt.random model: "random"
    # Writes that the guest flushes reach the disk: the power cut relies on it.
    libvirt.disk_driver cache: "writeback"
    libvirt.qemuargs value: "-netdev"
    libvirt.qemuargs value: [
      "user,id=outer", *forwards.map { |inner, outer| "hostfwd=tcp:127.0.0.1:#{outer}-:#{inner}" }
    ].join(",")
    libvirt.qemuargs value: "-device"
    # A slot that libvirt leaves free.
    libvirt.qemuargs value: "virtio-net-pci,netdev=outer,bus=pcie.0,addr=0x10"
  end
end
