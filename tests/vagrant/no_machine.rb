# Ends `vagrant up` where the machine would begin: what comes before it has succeeded then.
# Vagrant merges this from $VAGRANT_HOME.

require "vagrant-libvirt/action"
VagrantPlugins::ProviderLibvirt::Action.singleton_class.prepend(
  Module.new do
    def action_up
      Vagrant::Action::Builder.new.tap do |steps|
        steps.use(->(_environment) { abort ENV.fetch("STACK_TEST_END") })
      end
    end
  end
)
